// A wire between two parts that a test can cut, refuse or stall.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type Wire = Awaited<ReturnType<typeof openWire>>

/** A TCP port that leads to another one. `cut`: connections break and new ones are refused at once. `stall`: nothing passes any more. */
export async function openWire(target: { host: string; port: number }) {
  const sockets = new Set<Socket>()
  let state: 'open' | 'cut' | 'stalled' = 'open'
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
  }
  const server = createServer((near) => {
    keep(near)
    if (state === 'cut') return near.destroy()
    if (state === 'stalled') return
    const far = connect(target)
    keep(far)
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    cut(): void {
      state = 'cut'
      for (const socket of sockets) socket.destroy()
    },
    stall(): void {
      state = 'stalled'
      for (const socket of sockets) socket.pause().unpipe()
    },
    mend(): void {
      if (state === 'stalled') for (const socket of sockets) socket.destroy()
      state = 'open'
    },
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
