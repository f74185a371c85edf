// Leases: keeps each lease moving: observe what runs, plan the next step, act, write it down.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { LeaseOrder, LeaseStatus } from '@flow402/protocol/lease'
import { bootId, elapsedSeconds, hostUptime } from './clock.ts'
import { type Ground, initFolder, type Plan, proveReady, startContainer } from './container.ts'
import type { Home } from './home.ts'
import { writeDeadline } from './init-script.ts'
import type { Journal, LeaseRow, OutboxItem } from './journal.ts'
import { keepLogs } from './kept-logs.ts'
import { planLease, type Step } from './plan.ts'
import { pullImage } from './pull.ts'
import { emptyChain, nextUsage } from './usage.ts'
import { removeVolume } from './volume.ts'

export type LeaseDeps = {
  home: Home
  nodeId: string
  ground: Ground
  baseImage: string
  network: string
  journal: Journal
  say: (line: string) => void
  /** Told when a container of a rental ends, so that its streams can be closed. */
  onEnded: (rentalId: string) => void
  /** Called when the engine does not answer; may start it again. */
  onEngineDown: () => Promise<unknown>
}

/** The running keeper. `order` answers once the order is on disk, not when it is done. */
export type Leases = {
  order: (order: LeaseOrder) => LeaseStatus
  statuses: () => LeaseStatus[]
  newest: (rentalId: string) => LeaseRow | null
  containerName: (row: LeaseRow) => string
  /** Joins journal and engine after a start: adopts, finishes, or removes what belongs to nobody. */
  recover: () => Promise<void>
  /** Lets go of everything and leaves the containers running. */
  close: () => void
}

type Key = string
const keyOf = (row: { rentalId: string; epoch: number }): Key => `${row.rentalId}-${row.epoch}`
const nameOf = (row: { rentalId: string; epoch: number }) => `flow402-${keyOf(row)}`

/** What the market is told of a lease. */
export function statusOf(row: LeaseRow): LeaseStatus {
  const { rentalId, epoch, phase, end, exitCode } = row
  return {
    rentalId,
    epoch,
    phase,
    at: row.updatedAtMs,
    readyAt: row.ready?.atMs ?? null,
    end,
    exitCode,
    detail: row.detail?.slice(0, 500) ?? null,
  }
}

export function keepLeases(deps: LeaseDeps): Leases {
  const { home, ground, journal, say } = deps
  const { runtime } = ground
  const boot = bootId()
  const timers = new Map<Key, NodeJS.Timeout>()
  const driving = new Map<Key, { again: boolean; abort: AbortController }>()
  const died = new Map<Key, number>()
  const failures = new Map<Key, number>()
  let closed = false

  const dirOf = (row: { rentalId: string; epoch: number }) => home.path('volumes', keyOf(row))

  /** Writes a change of a lease; the latest order is kept, because one may have come while the step was under way. */
  function write(row: LeaseRow, change: Partial<LeaseRow>, before: OutboxItem[] = []): LeaseRow {
    const latest = journal.lease(row.rentalId, row.epoch) ?? row
    const next = { ...latest, ...change, updatedAtMs: Date.now() }
    const reports = change.phase && change.phase !== latest.phase ? [...before, { kind: 'lease' as const, status: statusOf(next) }] : before
    journal.save(next, reports)
    if (change.phase)
      say(
        `lease ${row.rentalId} epoch=${row.epoch} ${change.phase}${next.end ? ` end=${next.end}` : ''}${next.detail ? ` (${next.detail})` : ''}`,
      )
    return next
  }

  function kick(key: Key): void {
    const running = driving.get(key)
    if (running) {
      running.again = true
      return
    }
    clearTimeout(timers.get(key))
    timers.delete(key)
    const turn = { again: false, abort: new AbortController() }
    driving.set(key, turn)
    void drive(key, turn).finally(() => {
      driving.delete(key)
      if (turn.again && !closed) kick(key)
    })
  }

  async function drive(key: Key, turn: { again: boolean; abort: AbortController }): Promise<void> {
    const at = key.lastIndexOf('-')
    const [rentalId, epoch] = [key.slice(0, at), Number(key.slice(at + 1))]
    try {
      while (!closed) {
        turn.again = false
        const row = journal.lease(rentalId, epoch)
        if (!row) return
        const seen = row.ready && row.phase === 'ready' ? await runtime.inspect(nameOf(row)) : null
        // read again: an order may have come meanwhile, and the clock went on
        const fresh = journal.lease(rentalId, epoch) ?? row
        const step = planLease(fresh, seen, { elapsed: elapsedSeconds(fresh, boot), died: died.get(key) ?? null })
        if (step.do === 'wait') {
          failures.delete(key)
          if (turn.again) continue
          if (step.seconds !== null) wake(key, step.seconds * 1000)
          return
        }
        if (!(await act(fresh, step, turn.abort.signal))) return
      }
    } catch (error) {
      if (closed) return
      const count = (failures.get(key) ?? 0) + 1
      failures.set(key, count)
      say(`lease ${rentalId} epoch=${epoch} could not go on, trying again: ${messageOf(error)}`)
      if (isEngineDown(error)) await deps.onEngineDown().catch((down: unknown) => say(messageOf(down)))
      wake(key, Math.min(15_000, 250 * 2 ** count))
    }
  }

  function wake(key: Key, ms: number): void {
    // setTimeout takes at most 2^31 - 1 ms; waking early only plans again
    timers.set(
      key,
      setTimeout(() => kick(key), Math.min(Math.max(0, Math.ceil(ms)), 2_000_000_000)),
    )
  }

  /** Does one step. False: nothing more to do until something else happens. */
  async function act(row: LeaseRow, step: Exclude<Step, { do: 'wait' }>, signal: AbortSignal): Promise<boolean> {
    const node = { nodeId: deps.nodeId, identity: home.identity }
    if (step.do === 'start') return start(row, signal)
    if (step.do === 'record') {
      const { usage, chain } = nextUsage(node, row, row.usage, step.toSecond, false, Date.now())
      write(row, { usage: chain }, [{ kind: 'usage', usage }])
      return true
    }
    if (step.do === 'drain') {
      const { end, exitCode, detail, toSecond } = step
      if (!row.ready) write(row, { phase: 'draining', end, exitCode, detail })
      else {
        const { usage, chain } = nextUsage(node, row, row.usage, toSecond, true, Date.now())
        write(row, { phase: 'draining', end, exitCode, detail, usage: chain }, [{ kind: 'usage', usage }])
      }
      return true
    }
    await remove(row)
    return true
  }

  async function start(row: LeaseRow, signal: AbortSignal): Promise<boolean> {
    const older = journal.all().filter((other) => other.rentalId === row.rentalId && other.epoch < row.epoch && other.phase !== 'removed')
    if (older.length > 0) {
      for (const other of older) kick(keyOf(other))
      return false
    }
    try {
      if (row.spec.gpuUnits > 0) throw new Error('this node has no GPUs')
      const image = row.spec.image ?? deps.baseImage
      if (row.spec.image && !(await runtime.hasImage(image))) {
        write(row, { phase: 'pulling' })
        const pulled = await pullImage(runtime, image, signal)
        if (signal.aborted) return true
        if (pulled !== 'ok') {
          write(row, { phase: 'failed', end: 'image_unavailable', detail: pulled })
          return true
        }
      }
      const plan = planContainer(row, image)
      write(row, { phase: 'creating' })
      const before = await runtime.inspect(plan.name)
      if (before?.state === 'ended') await runtime.remove(plan.name)
      const id = await startContainer(ground, plan, () => write(row, { phase: 'starting' }))
      const hostBefore = hostUptime()
      const { uptimeSeconds } = await proveReady(ground, plan, id)
      becomeReady(row, uptimeSeconds - hostBefore)
    } catch (error) {
      if (isEngineDown(error)) throw error
      write(row, { phase: 'failed', end: 'failed', detail: messageOf(error).slice(0, 500) })
    }
    return true
  }

  function planContainer(row: LeaseRow, image: string): Plan {
    const { command, env, sshPublicKey, ramMb, cpuMillis, diskMb } = row.spec
    const labels = { 'flow402.home': home.id, 'flow402.rental': row.rentalId, 'flow402.epoch': String(row.epoch) }
    return {
      name: nameOf(row),
      dir: dirOf(row),
      image,
      labels,
      command,
      env,
      sshPublicKey,
      ramMb,
      cpuMillis,
      diskMb,
      network: deps.network,
    }
  }

  /** The clock starts here: the deadline is set inside first, so that a crash before the write below only gives time away. */
  function becomeReady(row: LeaseRow, uptimeAhead: number): void {
    const latest = journal.lease(row.rentalId, row.epoch) ?? row
    if (latest.desired === 'ended') return
    const ready = { atMs: Date.now(), uptime: hostUptime(), bootId: boot, uptimeAhead }
    setDeadline({ ...latest, ready })
    write(row, { phase: 'ready', ready })
  }

  /** Tells the init inside when to end. Rounded up: inside it is never earlier than outside. */
  function setDeadline(row: LeaseRow): void {
    if (row.ready) writeDeadline(initFolder(dirOf(row)), Math.ceil(row.ready.uptime + row.ready.uptimeAhead + row.paidSeconds))
  }

  async function remove(row: LeaseRow): Promise<void> {
    const name = nameOf(row)
    const seen = await runtime.inspect(name)
    if (seen) {
      // shells first: they ignore TERM and would cost the whole grace
      deps.onEnded(row.rentalId)
      if (seen.state === 'running') await stopGently(seen.id)
      await keepLogs(home, runtime, row.rentalId, seen.id).catch((error: unknown) =>
        say(`logs of ${row.rentalId} are lost: ${messageOf(error)}`),
      )
      await runtime.remove(seen.id)
    }
    await removeVolume(dirOf(row))
    died.delete(keyOf(row))
    write(row, { phase: 'removed' })
    const newest = journal.newest(row.rentalId)
    if (newest && newest.epoch > row.epoch) kick(keyOf(newest))
  }

  /** TERM to PID 1, which passes it on, waits two seconds and kills. */
  async function stopGently(id: string): Promise<void> {
    await runtime.signal(id, 'SIGTERM')
    for (let waitedMs = 0; waitedMs < 3000; waitedMs += 20) {
      if ((await runtime.inspect(id))?.state !== 'running') return
      await delay(20)
    }
  }

  const stopEvents = runtime.onEvent((event) => {
    if (closed) return
    if (event.action === 'connected') {
      for (const row of journal.all()) if (row.phase !== 'removed') kick(keyOf(row))
      return
    }
    if (event.action !== 'die' && event.action !== 'destroy') return
    const key = event.name.replace(/^flow402-/, '')
    const row = /^rnt_[0-9a-f]{32}-\d+$/.test(key)
      ? journal.lease(key.slice(0, key.lastIndexOf('-')), Number(key.slice(key.lastIndexOf('-') + 1)))
      : null
    if (!row || row.phase === 'removed') return
    const elapsed = elapsedSeconds(row, boot)
    if (elapsed !== null && !died.has(key)) died.set(key, elapsed)
    kick(key)
  })

  return {
    order(order) {
      const newest = journal.newest(order.rentalId)
      if (newest && (order.epoch < newest.epoch || (order.epoch === newest.epoch && order.revision <= newest.revision)))
        return statusOf(newest)
      const { rentalId, epoch, revision, desired, paidSeconds, spec } = order
      if (newest?.epoch === epoch) {
        // paid time never shrinks, an ended lease never runs again, and the spec is the one it was started with
        const desiredNow = newest.desired === 'ended' ? 'ended' : desired
        const next = write(newest, { revision, desired: desiredNow, paidSeconds: Math.max(newest.paidSeconds, paidSeconds) })
        if (next.phase === 'ready' && next.paidSeconds > newest.paidSeconds) setDeadline(next)
        if (desiredNow === 'ended') driving.get(keyOf(next))?.abort.abort()
        kick(keyOf(next))
        return statusOf(next)
      }
      if (newest && newest.phase !== 'removed') {
        write(newest, { desired: 'ended' })
        driving.get(keyOf(newest))?.abort.abort()
        kick(keyOf(newest))
      }
      const nothingToEnd = desired === 'ended'
      const row: LeaseRow = {
        rentalId,
        epoch,
        revision,
        desired,
        paidSeconds,
        spec,
        phase: nothingToEnd ? 'removed' : 'accepted',
        ready: null,
        end: nothingToEnd ? 'ordered' : null,
        exitCode: null,
        detail: null,
        usage: emptyChain,
        updatedAtMs: Date.now(),
      }
      journal.save(row, [{ kind: 'lease', status: statusOf(row) }])
      say(`lease ${rentalId} epoch=${epoch} ${row.phase}`)
      kick(keyOf(row))
      return statusOf(row)
    },
    statuses: () => journal.all().map(statusOf),
    newest: (rentalId) => journal.newest(rentalId),
    containerName: nameOf,
    async recover() {
      const known = new Map(journal.all().map((row) => [nameOf(row), row]))
      for (const seen of await runtime.list(`flow402.home=${home.id}`)) {
        const row = known.get(seen.name)
        if (row && row.phase !== 'removed') continue
        say(`removing ${seen.name}, which belongs to no lease`)
        await runtime.remove(seen.id)
        await removeVolume(join(home.path('volumes'), seen.name.replace(/^flow402-/, '')))
      }
      for (const folder of readdirSync(home.path('volumes'))) {
        const row = known.get(`flow402-${folder}`)
        if (folder.startsWith('rnt_') && (!row || row.phase === 'removed')) await removeVolume(home.path('volumes', folder))
      }
      for (const row of known.values()) {
        // written again: a kill may have come between the order and its deadline
        if (row.phase === 'ready' && row.ready?.bootId === boot) setDeadlineIfThere(row)
        if (row.phase !== 'removed') kick(keyOf(row))
      }
    },
    close() {
      closed = true
      stopEvents()
      for (const timer of timers.values()) clearTimeout(timer)
      for (const turn of driving.values()) turn.abort.abort()
    },
  }

  function setDeadlineIfThere(row: LeaseRow): void {
    try {
      setDeadline(row)
    } catch (error) {
      say(`the deadline of ${row.rentalId} cannot be written: ${messageOf(error)}`)
    }
  }
}

function messageOf(error: unknown): string {
  const message = (error as { json?: { message?: string } } | null)?.json?.message
  return (message ?? (error instanceof Error ? error.message : String(error))).replace(/\s+/g, ' ')
}

function isEngineDown(error: unknown): boolean {
  return (
    ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE'].includes((error as { code?: string; syscall?: string } | null)?.code ?? '') &&
    ['connect', 'read', 'write', undefined].includes((error as { syscall?: string }).syscall)
  )
}
