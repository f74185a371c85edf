// The machine of a sequence: it keeps what it was ordered, signs what it used, and tells the market again until it was heard.
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { type LeaseEnd, type LeaseOrder, type LeasePhase, type LeaseStatus, OrderClaims } from '@flow402/protocol/lease'
import type { SignedUsage, UsageRecord } from '@flow402/protocol/usage'
import { encodeRecord, firstPrevHash, leafHash } from '@flow402/rust-lib/statement'
import { takeUsage } from '../../lib/metering/take-usage.ts'
import { takeLeaseStatus } from '../../lib/provisioning/take-lease-status.ts'
import type { Process } from './world.ts'

type Lease = {
  order: LeaseOrder
  readyAt: number | null
  end: LeaseEnd | null
  seq: number
  toSecond: number
  hash: string
  isFinal: boolean
}
type Telling = { kind: 'lease'; status: LeaseStatus } | { kind: 'usage'; usage: SignedUsage }

type Key = { privateKey: KeyObject; publicKey: string }
/** A fresh key: every machine has its own. */
export function machineKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { privateKey, publicKey: String(publicKey.export({ format: 'jwk' }).x) }
}

export function openMachine(nodeId: string, privateKey: KeyObject, now: () => number) {
  const leases = new Map<string, Lease>()
  const outbox: Telling[] = []
  /** What this machine ended because what it knew to be paid for was used up. */
  const usedUp = new Set<string>()
  let signed: { rentalId: string; seq: number; toSecond: number }[] = []

  function statusOf(lease: Lease, phase: LeasePhase): LeaseStatus {
    const { order, readyAt, end } = lease
    return { rentalId: order.rentalId, epoch: order.epoch, phase, at: now(), readyAt, end, exitCode: null, detail: null }
  }

  function signUsage(lease: Lease, toSecond: number, final: boolean): SignedUsage {
    const record: UsageRecord = {
      rentalId: lease.order.rentalId,
      nodeId,
      epoch: lease.order.epoch,
      seq: lease.seq + 1,
      fromSecond: lease.toSecond,
      toSecond,
      at: now(),
      prevHash: lease.hash,
      final,
    }
    const digest = leafHash(encodeRecord(record))
    const hash = Buffer.from(digest).toString('hex')
    Object.assign(lease, { seq: record.seq, toSecond, hash, isFinal: final })
    signed.push({ rentalId: record.rentalId, seq: record.seq, toSecond })
    return { record, hash, signature: sign(null, digest, privateKey).toString('base64url') }
  }

  /** The workload is over here: last usage, then gone. */
  function end(rentalId: string, why: LeaseEnd): void {
    const lease = leases.get(rentalId)
    if (!lease || lease.end !== null) return
    lease.end = why
    if (why === 'paid_until') usedUp.add(rentalId)
    outbox.push({ kind: 'lease', status: statusOf(lease, why === 'failed' ? 'failed' : 'draining') })
    if (lease.readyAt !== null) outbox.push({ kind: 'usage', usage: signUsage(lease, secondsOf(lease), true) })
    outbox.push({ kind: 'lease', status: statusOf(lease, 'removed') })
  }

  const secondsOf = (lease: Lease) =>
    Math.max(lease.toSecond, Math.min(lease.readyAt === null ? 0 : Math.floor((now() - lease.readyAt) / 1000), lease.order.paidSeconds))

  function take(order: LeaseOrder): void {
    const known = leases.get(order.rentalId)
    if (known && (order.epoch < known.order.epoch || (order.epoch === known.order.epoch && order.revision < known.order.revision))) return
    if (known && order.epoch === known.order.epoch) known.order = order
    else leases.set(order.rentalId, { order, readyAt: null, end: null, seq: 0, toSecond: 0, hash: firstPrevHash, isFinal: false })
    if (order.desired === 'ended') end(order.rentalId, 'ordered')
  }

  const connection = { isOpen: true }
  return {
    nodeId,
    connection,
    usedUp,
    leases,
    /** What the market did not hear yet, oldest first. */
    outbox,
    /** What was signed since the last time, heard or not. */
    takeSigned() {
      const taken = signed
      signed = []
      return taken
    },
    /** The workload was proven ready. */
    ready(rentalId: string): void {
      const lease = leases.get(rentalId)
      if (!lease || lease.readyAt !== null || lease.end !== null) return
      lease.readyAt = now()
      outbox.push({ kind: 'lease', status: statusOf(lease, 'ready') })
    },
    /** Signs what was used, and `moreSeconds` that were not. */
    use(rentalId: string, moreSeconds: number): void {
      const lease = leases.get(rentalId)
      if (!lease || lease.readyAt === null || lease.end !== null) return
      outbox.push({ kind: 'usage', usage: signUsage(lease, secondsOf(lease) + moreSeconds, false) })
    },
    end,
    /** What was paid for is used up: the machine ends it by itself, whatever the market says. */
    endWhatIsUsedUp(): void {
      for (const { order, readyAt } of leases.values())
        if (readyAt !== null && now() >= readyAt + order.paidSeconds * 1000) end(order.rentalId, 'paid_until')
    },
    /** Everything that it knew is gone. */
    vanish(): void {
      leases.clear()
      outbox.length = 0
    },
    /** Tells the market everything that it did not hear, in order; what a dying process heard is told again. */
    async tell({ deps }: Process): Promise<void> {
      while (connection.isOpen && outbox[0]) {
        const next = outbox[0]
        if (next.kind === 'usage') await takeUsage(deps, nodeId, [next.usage])
        else await takeLeaseStatus(deps, nodeId, next.status)
        if (outbox[0] === next) outbox.shift()
      }
    },
    /** Takes an order as it comes over the tunnel. */
    take(signed: string): void {
      const { aud, ...order } = OrderClaims.parse(JSON.parse(Buffer.from(signed.split('.')[1] ?? '', 'base64url').toString()))
      if (aud !== nodeId) throw new Error('the order is for another machine')
      take(order)
    },
  }
}
