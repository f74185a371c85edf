// A provider's machine without containers: it believes the market's signed orders only, reports what a real agent reports, and obeys the test.
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { Readable } from 'node:stream'
import { type LeaseEnd, type LeaseOrder, type LeasePhase, type LeaseStatus, OrderClaims, type Report } from '@flow402/protocol/lease'
import type { DoctorReport, OfferTerms } from '@flow402/protocol/node'
import { Problem } from '@flow402/protocol/problem'
import type { SignedUsage, UsageRecord } from '@flow402/protocol/usage'
import { encodeRecord, firstPrevHash, leafHash } from '@flow402/rust-lib/statement'
import { compactVerify } from 'jose'
import type { NodeLink } from '../../lib/provisioning/node-link.ts'

type Lease = { order: LeaseOrder; phase: LeasePhase; readyAt: number | null; end: LeaseEnd | null; chain: Chain; detail: string | null }
type Chain = { seq: number; toSecond: number; hash: string; final: boolean }
/** A report before its number on the connection. */
export type Telling = Report extends infer R ? (R extends unknown ? Omit<R, 'n'> : never) : never
/** How a report reaches the market. */
export type Tell = (nodeId: string, report: Report) => Promise<void>

export type Machine = ReturnType<typeof openMachine>

/** What the machine sells unless the test says otherwise: 8 units of 1 GB for 0.06 USDC an hour. */
export const usualTerms: OfferTerms = {
  kind: 'ram',
  unitsTotal: 8,
  perUnit: { ramMb: 1024, cpuMillis: 250, diskMb: 1024 },
  priceAtomsPerHour: '60000',
  minMinutes: 1,
  maxMinutes: 1440,
}

/** A machine that is not enrolled yet. `now` is its clock in Unix ms; `tell` carries a report to the market. */
export function openMachine(now: () => number, tell: Tell) {
  const key = generateKeyPairSync('ed25519')
  const marketKeys: { publicKey: string } = { publicKey: '' }
  const leases = new Map<string, Lease>()
  const outbox: Telling[] = []
  let told = 0
  let sending: Promise<void> = Promise.resolve()
  const failures: Error[] = []

  const machine = {
    nodeId: '',
    offerId: '',
    publicKey: String(key.publicKey.export({ format: 'jwk' }).x),
    /** Ed25519 over these bytes, base64url: how it proves that it is itself. */
    sign: (bytes: Uint8Array) => sign(null, bytes, key.privateKey).toString('base64url'),
    isConnected: true,
    /** Whether a new lease becomes ready by itself; false: it waits for `ready`. */
    startsAtOnce: true,
    /** Every order that was delivered, oldest first. */
    orders: [] as LeaseOrder[],
    leases,

    /** Called with what enrolment gave. */
    pin(enrolment: { nodeId: string; offerId: string; marketPublicKey: string }): void {
      machine.nodeId = enrolment.nodeId
      machine.offerId = enrolment.offerId
      marketKeys.publicKey = enrolment.marketPublicKey
    },
    /** Queues a report; it goes out in order, now or when the machine is connected again. Resolves when it was taken or kept. */
    report(telling: Telling): Promise<void> {
      outbox.push(telling)
      return machine.idle()
    },
    heartbeat: () => machine.report({ kind: 'heartbeat', at: now() }),
    /** Waits until everything that can go out was taken; throws what the market threw. */
    async idle(): Promise<void> {
      sending = sending.then(flush)
      await sending
      const failure = failures.shift()
      if (failure) throw failure
    },
    disconnect(): void {
      machine.isConnected = false
    },
    /** Is back: what was kept is delivered in order. */
    async connect(): Promise<void> {
      machine.isConnected = true
      await machine.heartbeat()
    },
    /** Is gone with everything that it knew. */
    vanish(): void {
      machine.isConnected = false
      outbox.length = 0
      leases.clear()
    },
    /** The workload was proven ready now, or at `readyAt` of this machine's clock. */
    async ready(rentalId: string, readyAt: number = now()): Promise<void> {
      const lease = leaseOf(rentalId)
      lease.readyAt = readyAt
      await moveTo(lease, 'ready')
    },
    /** Signs and reports how long the lease has run, in whole seconds since it was ready; answers the record. */
    async use(rentalId: string, toSecond: number, final = false): Promise<SignedUsage> {
      const usage = machine.signUsage(rentalId, toSecond, final)
      await machine.report({ kind: 'usage', usage })
      return usage
    },
    /** The next record of a lease's chain, signed; `altered` replaces fields before hashing and signing. */
    signUsage(rentalId: string, toSecond: number, final = false, altered: Partial<UsageRecord> = {}): SignedUsage {
      const { order, chain } = leaseOf(rentalId)
      const record: UsageRecord = {
        rentalId,
        nodeId: machine.nodeId,
        epoch: order.epoch,
        seq: chain.seq + 1,
        fromSecond: chain.toSecond,
        toSecond,
        at: now(),
        prevHash: chain.hash,
        final,
        ...altered,
      }
      const digest = leafHash(bytesOf(record))
      const hash = Buffer.from(digest).toString('hex')
      Object.assign(chain, { seq: record.seq, toSecond, hash, final })
      return { record, hash, signature: sign(null, digest, key.privateKey).toString('base64url') }
    },
    /** The lease ends here: final usage if it ever ran (up to now unless `toSecond` says), then drained, then removed. */
    async end(rentalId: string, end: LeaseEnd, more: { toSecond?: number; exitCode?: number; detail?: string } = {}): Promise<void> {
      const lease = leaseOf(rentalId)
      if (lease.end !== null) return
      lease.end = end
      lease.detail = more.detail ?? null
      await moveTo(lease, end === 'failed' || end === 'image_unavailable' ? 'failed' : 'draining', more.exitCode ?? null)
      if (lease.readyAt !== null) await machine.use(rentalId, more.toSecond ?? secondsOf(lease), true)
      await moveTo(lease, 'removed', more.exitCode ?? null)
    },
    statusOf: (rentalId: string) => statusOf(leaseOf(rentalId), null),
    /** Takes an order as PUT /leases/:id does: signed by the pinned key, for this node, not older than what is known. */
    async takeOrder(signed: string): Promise<void> {
      const verifying = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: marketKeys.publicKey }, format: 'jwk' })
      const { payload } = await compactVerify(signed, verifying, { algorithms: ['EdDSA'] })
      const { aud, ...order } = OrderClaims.parse(JSON.parse(new TextDecoder().decode(payload)))
      if (aud !== machine.nodeId) throw new Error('the order is for another node')
      machine.orders.push(order)
      const known = leases.get(order.rentalId)
      if (known && (order.epoch < known.order.epoch || (order.epoch === known.order.epoch && order.revision < known.order.revision))) return
      if (known && order.epoch === known.order.epoch) known.order = order
      const lease = known?.order === order ? known : freshLease(order)
      leases.set(order.rentalId, lease)
      // Everything happens after the answer, as on a real node: the answer says only that the order is kept.
      const follow = async () => {
        if (lease === known || order.desired === 'running') return obey(lease)
        // A lease that this machine never held and must not hold is gone already.
        Object.assign(lease, { phase: 'removed', end: 'ordered' })
        await machine.report({ kind: 'lease', status: statusOf(lease, null) })
      }
      queueMicrotask(() => follow().catch((error: Error) => failures.push(error)))
    },
  }

  async function obey(lease: Lease): Promise<void> {
    if (lease.order.desired === 'ended') return machine.end(lease.order.rentalId, 'ordered')
    if (machine.startsAtOnce && lease.readyAt === null && lease.end === null) await machine.ready(lease.order.rentalId)
  }

  async function flush(): Promise<void> {
    while (machine.isConnected && outbox[0]) {
      const next = outbox[0]
      try {
        await tell(machine.nodeId, { ...next, n: ++told } as Report)
      } catch (error) {
        failures.push(error as Error)
        return
      }
      if (outbox[0] === next) outbox.shift()
    }
  }

  async function moveTo(lease: Lease, phase: LeasePhase, exitCode: number | null = null): Promise<void> {
    lease.phase = phase
    await machine.report({ kind: 'lease', status: statusOf(lease, exitCode) })
  }

  function leaseOf(rentalId: string): Lease {
    const lease = leases.get(rentalId)
    if (!lease) throw new Error(`the machine holds no lease ${rentalId}`)
    return lease
  }

  function freshLease(order: LeaseOrder): Lease {
    const chain = { seq: 0, toSecond: 0, hash: firstPrevHash, final: false }
    return { order, phase: 'accepted', readyAt: null, end: null, chain, detail: null }
  }

  function secondsOf(lease: Lease): number {
    const passed = lease.readyAt === null ? 0 : Math.floor((now() - lease.readyAt) / 1000)
    return Math.max(lease.chain.toSecond, Math.min(passed, lease.order.paidSeconds))
  }

  function statusOf(lease: Lease, exitCode: number | null): LeaseStatus {
    const { order, phase, readyAt, end, detail } = lease
    return { rentalId: order.rentalId, epoch: order.epoch, phase, at: now(), readyAt, end, exitCode, detail }
  }

  return machine
}

/** A record's bytes; what cannot be written as one is signed as it is said. */
function bytesOf(record: UsageRecord): Uint8Array {
  try {
    return encodeRecord(record)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return Buffer.from(JSON.stringify(record))
  }
}

/** A self-test that passes and has room for these terms. */
export function passingDoctor(terms: OfferTerms, atMs: number): DoctorReport {
  return {
    ok: true,
    at: atMs,
    agentVersion: 'test',
    engine: 'in memory',
    isolation: 'container',
    network: 'none',
    ramMb: terms.unitsTotal * terms.perUnit.ramMb,
    cpuMillis: terms.unitsTotal * terms.perUnit.cpuMillis,
    diskMb: terms.unitsTotal * terms.perUnit.diskMb,
    checks: [],
  }
}

/** The market's link to these machines. Exec answers the argument vector as output; logs are one line; terminals echo nothing here. */
export function linkTo(machines: readonly Machine[]): NodeLink {
  const reach = (nodeId: string): Machine => {
    const machine = machines.find((each) => each.nodeId === nodeId)
    if (!machine?.isConnected) throw new Problem('node_unreachable')
    return machine
  }
  return {
    isConnected: (nodeId) => machines.some((machine) => machine.nodeId === nodeId && machine.isConnected),
    putLease: async (nodeId, _rentalId, order) => reach(nodeId).takeOrder(order),
    async exec(nodeId, rentalId, _token, request) {
      reach(nodeId).statusOf(rentalId)
      return { exitCode: 0, stdout: request.argv.join(' '), stderr: '', truncated: false }
    },
    async logs(nodeId, rentalId) {
      reach(nodeId).statusOf(rentalId)
      return Readable.from([Buffer.from(`log of ${rentalId}\n`)])
    },
    async terminal() {
      throw new Problem('node_unreachable', { detail: 'this machine has no terminals' })
    },
    async resizeTerminal() {
      throw new Problem('node_unreachable', { detail: 'this machine has no terminals' })
    },
  }
}
