// Starts the local chain as a child process: for the dev script and for tests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * How to run the chain; no `dataDir`: nothing outlives it; no `port`: a free one. `finalitySlots` (0 to 32) after it landed a transaction
 * is final. `view` opens a second node of the same chain, with faults of its own, on a free port or on `viewPort`.
 */
export interface LocalnetOptions {
  port?: number
  dataDir?: string
  slotMs?: number
  finalitySlots?: number
  view?: boolean
  viewPort?: number
}

/** A running chain. `stop` saves and ends it; killing `pid` loses nothing that was answered. */
export interface Localnet {
  rpcUrl: string
  wsUrl: string
  faucetUrl: string
  /** The second node's JSON-RPC; empty when none was asked for. */
  viewUrl: string
  pid: number
  stop(): Promise<void>
}

const stopPatienceMs = 10_000

/** Starts a chain and resolves when it answers; rejects with what it printed when it ends first. It ends with this process. */
export async function startLocalnet(options: LocalnetOptions = {}): Promise<Localnet> {
  const args = [fileURLToPath(new URL('./main.ts', import.meta.url)), '--port', String(options.port ?? 0)]
  if (options.dataDir !== undefined) args.push('--data', options.dataDir)
  if (options.slotMs !== undefined) args.push('--slot-ms', String(options.slotMs))
  if (options.finalitySlots !== undefined) args.push('--finality-slots', String(options.finalitySlots))
  if (options.view === true || options.viewPort !== undefined) args.push('--view-port', String(options.viewPort ?? 0))
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const hasEnded = once(child, 'exit')
  const printed: string[] = []
  child.stderr?.on('data', (chunk: Buffer) => {
    printed.push(chunk.toString())
    process.stderr.write(chunk)
  })
  if (!child.stdout) throw new Error('the child has no stdout')

  const firstLine = once(createInterface({ input: child.stdout }), 'line')
  const ready = await Promise.race([firstLine, hasEnded.then(() => undefined)])
  if (!ready) throw new Error(`the local chain did not start: ${printed.join('').trim()}`)
  const { rpcUrl, wsUrl, faucetUrl, viewUrl = '' } = JSON.parse(String(ready[0])) as Omit<Localnet, 'pid' | 'stop'>

  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const deadline = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
    child.kill('SIGTERM')
    await hasEnded
    clearTimeout(deadline)
  }
  return { rpcUrl, wsUrl, faucetUrl, viewUrl, pid: child.pid ?? 0, stop }
}
