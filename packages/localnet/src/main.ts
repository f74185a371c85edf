// The program: a local Solana with test USDC. node main.ts [--port N] [--data DIR] [--slot-ms 400] [--finality-slots 2] [--view-port N]
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { openChain } from './chain.ts'
import { lockDataDir } from './data-lock.ts'
import { createChainServer } from './server.ts'

function fail(message: string): never {
  console.error(`localnet: ${message}`)
  process.exit(1)
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < min || number > max) throw new Error(`--${name} must be a whole number from ${min} to ${max}`)
  return number
}

async function main(): Promise<void> {
  if (process.env.NODE_ENV === 'production' || process.env.FLOW402_ENV === 'production') {
    throw new Error('this is test money and must not run in production')
  }
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      data: { type: 'string' },
      'slot-ms': { type: 'string', default: '400' },
      'finality-slots': { type: 'string', default: '2' },
      'view-port': { type: 'string' },
    },
  })
  const port = wholeNumber('port', values.port, 0, 65_535)
  const slotMs = wholeNumber('slot-ms', values['slot-ms'], 5, 60_000)
  const finalitySlots = wholeNumber('finality-slots', values['finality-slots'], 0, 32)
  const ports = [port, ...(values['view-port'] === undefined ? [] : [wholeNumber('view-port', values['view-port'], 0, 65_535)])]

  const unlock = values.data === undefined ? () => {} : lockDataDir(values.data)
  const chain = await openChain({ dataDir: values.data, slotMs, finalitySlots })
  const nodes = ports.map((wanted) => ({ port: wanted, ...createChainServer(chain) }))
  for (const { server } of nodes) {
    server.on('error', (error) => {
      unlock()
      fail(error.message)
    })
  }

  let isStopping = false
  const shutDown = (): void => {
    if (isStopping) return
    isStopping = true
    for (const { stop } of nodes) stop()
    chain.close()
    unlock()
    process.exit(0)
  }
  process.on('SIGTERM', shutDown)
  process.on('SIGINT', shutDown)
  // A child of a test or of the dev script must not outlive it.
  if (process.connected) process.on('disconnect', shutDown)

  const [host, viewHost] = await Promise.all(
    nodes.map(async ({ server, port: wanted }) => {
      server.listen(wanted, '127.0.0.1')
      await once(server, 'listening')
      return `127.0.0.1:${(server.address() as AddressInfo).port}`
    }),
  )
  const view = viewHost === undefined ? {} : { viewUrl: `http://${viewHost}` }
  console.log(JSON.stringify({ rpcUrl: `http://${host}`, wsUrl: `ws://${host}`, faucetUrl: `http://${host}/faucet`, ...view }))
}

main().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))
