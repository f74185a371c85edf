// The floor under a rental: a bare container and a bare exec of the same image, by the same engine's HTTP API and nothing else.
import http from 'node:http'

/** Talks to the engine on its unix socket. */
export function openEngine(socketPath: string) {
  function call(method: string, path: string, body?: unknown, untilFirstByte = false): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const request = http.request(
        { socketPath, method, path, headers: body === undefined ? {} : { 'content-type': 'application/json' } },
        (response) => {
          const chunks: Buffer[] = []
          const done = () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() })
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk)
            if (untilFirstByte) {
              done()
              response.destroy()
            }
          })
          response.on('end', done)
          response.on('error', reject)
        },
      )
      request.on('error', reject)
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { status, text } = await call(method, path, body)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }

  return {
    /** The image that the agent uses when a rental names none. */
    async baseImage(): Promise<string> {
      const images = await json<{ RepoTags: string[] | null }[]>('GET', '/images/json')
      const tag = images.flatMap((image) => image.RepoTags ?? []).find((name) => name.startsWith('flow402/base:'))
      if (!tag) throw new Error('the engine has no flow402/base image')
      return tag
    },
    /** create + start until the first byte of output, in ms; the container is left for `remove`. */
    async startBare(image: string, memoryBytes: number): Promise<{ id: string; ms: number }> {
      const startedAt = performance.now()
      const { Id: id } = await json<{ Id: string }>('POST', '/containers/create', {
        Image: image,
        Cmd: ['sh', '-c', 'echo ready; exec sleep 600'],
        HostConfig: { Memory: memoryBytes, MemorySwap: memoryBytes, NetworkMode: 'none', CapDrop: ['ALL'], ReadonlyRootfs: true },
      })
      await json('POST', `/containers/${id}/start`)
      await call('GET', `/containers/${id}/logs?stdout=1&follow=1`, undefined, true)
      return { id, ms: performance.now() - startedAt }
    },
    /** exec create + start + all output + exit code, in ms. */
    async execBare(id: string, argv: string[]): Promise<number> {
      const startedAt = performance.now()
      const { Id: exec } = await json<{ Id: string }>('POST', `/containers/${id}/exec`, {
        Cmd: argv,
        AttachStdout: true,
        AttachStderr: true,
      })
      await call('POST', `/exec/${exec}/start`, { Detach: false, Tty: false })
      await json('GET', `/exec/${exec}/json`)
      return performance.now() - startedAt
    },
    remove: (id: string) => json<void>('DELETE', `/containers/${id}?force=1`),
  }
}
