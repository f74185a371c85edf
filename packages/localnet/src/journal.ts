// The chain's memory on disk: an append-only file of JSON lines, and a snapshot that says what the first lines amount to.
import { closeSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, readSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Where a line lies, so that it can be read again; bytes in a file, or an index when nothing is persisted. */
export interface LinePosition {
  offset: number
  length: number
}

/** Keeps lines for good, in order. A line is safe from `kill -9` once append has returned; a power cut may lose the newest. */
export interface Journal {
  /** Bytes written so far. */
  readonly size: number
  append(line: string): LinePosition
  read(position: LinePosition): string
  /** Every whole line from `offset` on, oldest first. */
  lines(offset: number): Iterable<{ text: string; position: LinePosition }>
  /** Puts `text` beside the journal, whole or not at all. */
  writeSnapshot(text: string): void
  readSnapshot(): string | undefined
  close(): void
}

/** A journal that forgets everything with the process. */
export function memoryJournal(): Journal {
  const kept: string[] = []
  return {
    get size() {
      return kept.length
    },
    append: (line) => ({ offset: kept.push(line) - 1, length: 1 }),
    read: ({ offset }) => {
      const line = kept[offset]
      if (line === undefined) throw new Error(`no journal line ${offset}`)
      return line
    },
    lines: () => [],
    writeSnapshot: () => {},
    readSnapshot: () => undefined,
    close: () => {},
  }
}

/** A journal in `dataDir` (made if absent). A last line without its newline was never answered for: it is cut off here. */
export function fileJournal(dataDir: string): Journal {
  mkdirSync(dataDir, { recursive: true })
  const fd = openSync(join(dataDir, 'journal.jsonl'), 'a+')
  const snapshotPath = join(dataDir, 'snapshot.jsonl')
  let size = wholeLinesLength(fd)
  ftruncateSync(fd, size)

  const read = ({ offset, length }: LinePosition): Buffer => {
    const bytes = Buffer.alloc(length)
    for (let done = 0; done < length; ) {
      const count = readSync(fd, bytes, done, length - done, offset + done)
      if (count === 0) throw new Error(`the journal ends before byte ${offset + length}`)
      done += count
    }
    return bytes
  }

  return {
    get size() {
      return size
    },
    append(line) {
      const bytes = Buffer.from(`${line}\n`)
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
      const position = { offset: size, length: bytes.length }
      size += bytes.length
      return position
    },
    read: (position) => read(position).toString(),
    *lines(offset) {
      const chunkBytes = 1 << 20
      let rest: Buffer = Buffer.alloc(0)
      for (let at = offset; at < size; ) {
        const length = Math.min(chunkBytes, size - at)
        const bytes = Buffer.concat([rest, read({ offset: at, length })])
        const bytesAt = at - rest.length
        let start = 0
        for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
          yield { text: bytes.toString('utf8', start, end), position: { offset: bytesAt + start, length: end + 1 - start } }
          start = end + 1
        }
        rest = bytes.subarray(start)
        at += length
      }
    },
    writeSnapshot(text) {
      const next = openSync(`${snapshotPath}.next`, 'w', 0o600)
      const bytes = Buffer.from(text)
      for (let done = 0; done < bytes.length; ) done += writeSync(next, bytes, done)
      fsyncSync(next)
      closeSync(next)
      renameSync(`${snapshotPath}.next`, snapshotPath)
    },
    readSnapshot() {
      try {
        return readFileSync(snapshotPath, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    close: () => closeSync(fd),
  }
}

// The length of the file up to and including its last newline.
function wholeLinesLength(fd: number): number {
  const chunk = Buffer.alloc(1 << 16)
  for (let end = fstatSync(fd).size; end > 0; ) {
    const start = Math.max(0, end - chunk.length)
    const count = readSync(fd, chunk, 0, end - start, start)
    const newline = chunk.subarray(0, count).lastIndexOf(10)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
}
