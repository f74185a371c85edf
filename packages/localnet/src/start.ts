// Starts the local chain as a child process: for the dev script and for tests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** How to run the chain; no `dataDir`: nothing outlives it; no `port`: a free one. */
export interface LocalnetOptions {
  port?: number
  dataDir?: string
  slotMs?: number
  finalitySlots?: number
}

/** A running chain. `stop` saves and ends it; killing `pid` loses nothing that was answered. */
export interface Localnet {
  rpcUrl: string
  wsUrl: string
  faucetUrl: string
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
  const { rpcUrl, wsUrl, faucetUrl } = JSON.parse(String(ready[0])) as { rpcUrl: string; wsUrl: string; faucetUrl: string }

  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const deadline = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
    child.kill('SIGTERM')
    await hasEnded
    clearTimeout(deadline)
  }
  return { rpcUrl, wsUrl, faucetUrl, pid: child.pid ?? 0, stop }
}
