// Keeps two processes from writing the journal of one data dir: their lines would mix and both chains be lost.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Takes the data dir for this process, over the remains of one that was killed. Returns the way to let go; throws when it is in use. */
export function lockDataDir(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const path = join(dataDir, 'lock')
  for (const isRetry of [false, true]) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const pid = Number(readFileSync(path, 'utf8'))
      if (isRetry || isLocalnet(pid)) throw new Error(`the data dir is in use by process ${pid}`)
      rmSync(path, { force: true })
    }
  }
  throw new Error('unreachable')
}

function isLocalnet(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  try {
    // Where the system tells what a process is, a number that was given to another program since does not count.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('localnet')
  } catch {
    return true
  }
}
