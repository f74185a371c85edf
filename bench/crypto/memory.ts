// Runs in a process of their own, for the memory that they take at most. Part of bench:crypto.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What a run alone came to: megabytes (10^6) at its peak over those of Node with the input, those of the input, and seconds. */
export type Alone = { peakMb: number; inputMb: number; seconds: number }

/**
 * The most memory that a process has held so far, in megabytes; NaN where /proc is missing. Not what getrusage says: that begins, in a
 * child, with what its parent held.
 */
export function peakMbOf(pid: number | 'self'): number {
  try {
    const kib = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return (Number(kib) * 1024) / 1e6
  } catch {
    return Number.NaN
  }
}

/** Runs `alone.ts` with these words. */
export function runAlone(what: 'merkle' | 'statement', words: (string | number)[]): Promise<Alone> {
  const program = fileURLToPath(new URL('alone.ts', import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, what, ...words.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] })
    const stop = () => child.kill()
    process.once('exit', stop)
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      process.off('exit', stop)
      if (code === 0) resolve(JSON.parse(said))
      else reject(new Error(`${what} alone ended with ${code}`))
    })
  })
}
