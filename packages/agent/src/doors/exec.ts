// Exec door: runs a program in a running container and answers when it has ended.
import type { Readable } from 'node:stream'
import { Problem } from '@flow402/protocol/problem'
import { ExecRequest, type ExecResult } from '@flow402/protocol/rental'
import type { Runtime, Started } from '../runtimes/runtime.ts'
import { answerJson, type Call, type DoorDeps, limitStream, readBody, runningContainer } from './door.ts'

const outputMaxBytes = 1024 * 1024
const defaultTimeoutMs = 30_000

export async function serveExec(deps: DoorDeps, call: Call): Promise<void> {
  await deps.word.streamToken(call.authorization, call.rentalId, 'exec')
  const request = await readBody(call.stream, ExecRequest)
  const timeoutMs = request.timeoutMs ?? defaultTimeoutMs
  limitStream(call.stream, timeoutMs + 15_000, timeoutMs + 15_000)
  const gone = new AbortController()
  call.stream.once('close', () => gone.abort())
  answerJson(call.stream, 200, await execIn(deps.runtime, runningContainer(deps.leases, call.rentalId), request, timeoutMs, gone.signal))
}

/** Runs it to its end. Past `timeoutMs`, or when nobody waits any more, its process group is killed; the first is the Problem `timeout`. */
export async function execIn(
  runtime: Runtime,
  container: string,
  request: ExecRequest,
  timeoutMs: number,
  gone: AbortSignal,
): Promise<ExecResult> {
  const started = await startExec(runtime, container, request)
  let timer: NodeJS.Timeout | undefined
  const cut = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Problem('timeout', { detail: `the program ran longer than ${timeoutMs} ms and was killed` })),
      timeoutMs,
    )
    gone.addEventListener('abort', () => reject(new Problem('timeout', { detail: 'nobody waits for the result' })), { once: true })
  })
  const finished = Promise.all([capped(started.stdout), capped(started.stderr)]).then(async ([stdout, stderr]) => {
    const truncated = stdout.truncated() || stderr.truncated()
    return notStarted({ exitCode: await started.exitCode(), stdout: stdout.text(), stderr: stderr.text(), truncated })
  })
  finished.catch(() => undefined)
  try {
    return await Promise.race([finished, cut])
  } catch (error) {
    await started.kill().catch(() => undefined)
    started.stdin.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** The engine writes why a program could not be started to its stdout; as in a shell it belongs to stderr, with 127 for a program that is not there. */
function notStarted(result: ExecResult): ExecResult {
  if ((result.exitCode !== 126 && result.exitCode !== 127) || !result.stdout.startsWith('OCI runtime exec failed')) return result
  const isMissing = /executable file not found|no such file or directory/.test(result.stdout)
  return { ...result, exitCode: isMissing ? 127 : 126, stdout: '', stderr: result.stdout }
}

async function startExec(runtime: Runtime, container: string, request: ExecRequest): Promise<Started> {
  try {
    const started = await runtime.exec(container, request.argv, { stdin: request.stdin !== undefined })
    started.stdin.on('error', () => undefined)
    if (request.stdin !== undefined) started.stdin.end(request.stdin)
    return started
  } catch (error) {
    const status = (error as { statusCode?: number }).statusCode
    if (status === 404 || status === 409) throw new Problem('rental_cannot', { detail: 'the container does not run' })
    throw error
  }
}

/** Keeps the first 1 MiB and reads the rest away, so that the program is not held up. */
async function capped(stream: Readable): Promise<{ text: () => string; truncated: () => boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (size < outputMaxBytes) chunks.push(chunk.subarray(0, outputMaxBytes - size))
    size += chunk.length
  }
  return { text: () => Buffer.concat(chunks).toString(), truncated: () => size > outputMaxBytes }
}
