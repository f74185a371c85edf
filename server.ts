// The server: one process with the API, the gateway for machines, the clock and the pages; ROLE splits it over machines.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { tunnelPath } from '@flow402/protocol/endpoints'
import { getRequestListener } from '@hono/node-server'
import { buildApi } from './api/app.ts'
import { refuseMalformed, refuseUpgrade } from './api/malformed-request.ts'
import { startClock } from './clock/start-clock.ts'
import { startOrders } from './clock/start-orders.ts'
import { machineEvents } from './gateway/machine-events.ts'
import { linkOver } from './gateway/node-link.ts'
import { openTerminals } from './gateway/terminal.ts'
import { openTunnels } from './gateway/tunnel.ts'
import { requireAccess } from './lib/auth/access-token.ts'
import { readEnv } from './lib/env.ts'
import { showHouse } from './lib/house.ts'
import { getOffer } from './lib/offers/get-offer.ts'
import { listOffers } from './lib/offers/list-offers.ts'
import { openTerminal, resizeTerminal } from './lib/provisioning/reach-workload.ts'
import { readNetwork } from './lib/read-network.ts'
import { readReserves } from './lib/reserves/read-reserves.ts'
import { type House, openHouse } from './lib/wiring.ts'

const terminalPattern = /^\/api\/rentals\/(rnt_[0-9a-f]{32})\/terminal$/
const closeWithinMs = 8_000

/** Starts everything this role has; resolves when it listens. */
async function start(): Promise<void> {
  const env = readEnv()
  const version = (JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string }).version
  const tunnels = openTunnels(() => machineEvents(house))
  const house: House = await openHouse(env, version, linkOver(tunnels))
  const terminals = openTerminals({
    requireAccess: (rentalId, token) => requireAccess(house.keys, rentalId, token),
    open: (rentalId, size) => openTerminal(house, rentalId, size),
    resize: (rentalId, size) => resizeTerminal(house, rentalId, size),
  })
  showHouse({
    listOffers: (query) => listOffers(house, query),
    getOffer: (id) => getOffer(house, id),
    network: () => readNetwork(house),
    reserves: () => readReserves(house),
  })

  const api = getRequestListener(buildApi(house).fetch)
  const server = createServer({ maxHeaderSize: 32 * 1024, requestTimeout: 60_000, headersTimeout: 15_000 })
  const pages = env.roles.web ? await openPages(env.development, env.host, env.port) : undefined

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith('/api/') || !pages) return api(request, response)
    return pages.handle(request, response)
  })
  server.on('clientError', refuseMalformed)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const path = (request.url ?? '').split('?')[0] ?? ''
    const rentalId = terminalPattern.exec(path)?.[1]
    if (path === tunnelPath && env.roles.gateway) return tunnels.handleUpgrade(request, socket, head)
    if (rentalId) return terminals.handleUpgrade(request, socket, head, rentalId)
    if (pages && env.development) return pages.upgrade(request, socket, head)
    refuseUpgrade(socket)
  })

  const clock = env.roles.clock ? startClock(house) : env.roles.gateway ? startOrders(house) : undefined
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(env.port, env.host, resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : env.port
  console.log(
    JSON.stringify({ level: 'info', event: 'listening', url: `http://${env.host}:${port}`, roles: env.roles, network: env.network }),
  )

  let isClosing = false
  const close = async () => {
    if (isClosing) return
    isClosing = true
    setTimeout(() => process.exit(1), closeWithinMs).unref()
    terminals.close()
    tunnels.close()
    server.close()
    await clock?.stop()
    server.closeAllConnections()
    await house.close()
    process.exit(0)
  }
  process.on('SIGTERM', close)
  process.on('SIGINT', close)
}

/** Next renders pages and nothing else; its upgrade handler is never exposed in production. */
async function openPages(dev: boolean, hostname: string, port: number) {
  const { default: next } = await import('next')
  const app = next({ dev, hostname, port, dir: import.meta.dirname })
  await app.prepare()
  return { handle: app.getRequestHandler(), upgrade: app.getUpgradeHandler() }
}

start().catch((error: Error) => {
  console.error(error.message)
  process.exit(1)
})
