// Reads back what a chain wrote down, and sums it up in a snapshot so that the next reading is short.
import type { EncodedAccount } from '@solana/kit'
import { accountFromStored, entryFromLanded, type JournalRecord, type SnapshotHead } from './chain-records.ts'
import type { HistoryEntry } from './history.ts'
import type { Journal } from './journal.ts'
import type { Boot } from './slot-clock.ts'

/** All a chain knew when it last wrote; empty for a new one. */
export interface ChainMemory {
  boots: Boot[]
  /** As they were left; programs last, because loading one looks at its data account. */
  accounts: EncodedAccount[]
  /** Oldest first. */
  entries: HistoryEntry[]
  svmBlockhashes: number
}

/** Reads the snapshot and every journal line after it. Throws when the journal is shorter than its snapshot says. */
export function recall(journal: Journal): ChainMemory {
  const boots: Boot[] = []
  const entries: HistoryEntry[] = []
  const accounts = new Map<string, EncodedAccount>()
  let svmBlockhashes = 0
  let offset = 0

  const [headLine, ...entryLines] = journal.readSnapshot()?.trimEnd().split('\n') ?? []
  if (headLine !== undefined) {
    const head = JSON.parse(headLine) as SnapshotHead
    if (head.journalBytes > journal.size) throw new Error('the snapshot is newer than the journal: the journal lost lines')
    offset = head.journalBytes
    svmBlockhashes = head.svmBlockhashes
    boots.push(...head.boots)
    for (const stored of head.accounts) accounts.set(stored[0], accountFromStored(stored))
    for (const line of entryLines) entries.push(JSON.parse(line) as HistoryEntry)
  }

  for (const { text, position } of journal.lines(offset)) {
    const record = JSON.parse(text) as JournalRecord
    if (record.kind === 'boot') {
      boots.push({ slot: record.slot, timeMs: record.timeMs, slotMs: record.slotMs })
      continue
    }
    for (const stored of record.accounts) accounts.set(stored[0], accountFromStored(stored))
    if (record.kind === 'transaction') {
      entries.push(entryFromLanded(record, position))
      svmBlockhashes = record.svmBlockhashes
    }
  }
  return { boots, entries, svmBlockhashes, accounts: [...accounts.values()].sort((a, b) => Number(a.executable) - Number(b.executable)) }
}

/** Writes a snapshot that stands for the whole journal up to now. */
export function writeSnapshot(
  journal: Journal,
  state: Pick<SnapshotHead, 'svmBlockhashes' | 'boots' | 'accounts'>,
  entries: readonly HistoryEntry[],
): void {
  const head: SnapshotHead = { kind: 'snapshot', journalBytes: journal.size, ...state }
  journal.writeSnapshot(`${[head, ...entries].map((line) => JSON.stringify(line)).join('\n')}\n`)
}
