// Container: how a lease becomes a fenced container, and the proof that it is ready with the limits that were ordered.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { initBusybox, initMount, makeInitFolder } from './init-script.ts'
import type { ContainerSpec, Runtime, SeenContainer } from './runtimes/runtime.ts'
import { mountVolume, volumePoint } from './volume.ts'

/** Processes and threads that one container may have. */
export const pidsMax = 256

/** What a container is made of. `dir` is its folder on the host; `volumes` false makes /workspace a tmpfs. */
export type Plan = {
  name: string
  dir: string
  image: string
  labels: Record<string, string>
  command: string[] | null
  env: Record<string, string>
  sshPublicKey: string | null
  ramMb: number
  cpuMillis: number
  diskMb: number
  network: string
}

/** What every container of this home shares. `installedInit` holds busybox and the init script. */
export type Ground = { runtime: Runtime; installedInit: string; volumes: boolean; cpus: number }

/** Where the deadline file of a container lies on the host. */
export function initFolder(dir: string): string {
  return join(dir, 'init')
}

/** Makes folder, volume and container side by side and starts it; each part may exist already. Answers the container's id. */
export async function startContainer(ground: Ground, plan: Plan, onCreated?: () => void): Promise<string> {
  mkdirSync(plan.dir, { recursive: true, mode: 0o700 })
  makeInitFolder(ground.installedInit, initFolder(plan.dir))
  const workspace = ground.volumes ? volumePoint(plan.dir) : null
  const spec: ContainerSpec = {
    name: plan.name,
    image: plan.image,
    labels: plan.labels,
    argv: [initBusybox, 'sh', `${initMount}/init`, ...(plan.command ?? [])],
    env: { HOME: '/workspace', ...plan.env },
    hostname: `flow402-${plan.name.slice(-8).replace(/[^a-z0-9]/g, '')}`,
    ramMb: plan.ramMb,
    cpuMillis: plan.cpuMillis,
    pidsMax,
    diskMb: plan.diskMb,
    network: plan.network,
    workspace,
    init: { source: initFolder(plan.dir), target: initMount },
  }
  const volume = workspace ? mountVolume(plan.dir, plan.diskMb).then(() => writeSshKey(workspace, plan.sshPublicKey)) : Promise.resolve()
  const [id] = await Promise.all([ground.runtime.create(spec), volume])
  onCreated?.()
  await ground.runtime.start(id)
  if (!workspace && plan.sshPublicKey) await writeSshKeyInside(ground.runtime, id, plan.sshPublicKey)
  return id
}

function writeSshKey(workspace: string, key: string | null): void {
  if (!key) return
  mkdirSync(join(workspace, '.ssh'), { mode: 0o700 })
  writeFileSync(join(workspace, '.ssh', 'authorized_keys'), `${key}\n`, { mode: 0o600 })
}

async function writeSshKeyInside(runtime: Runtime, id: string, key: string): Promise<void> {
  const script = 'umask 077; d=/workspace/.ssh; "$0" mkdir -p $d && echo "$1" >$d/authorized_keys'
  const { exitCode } = await runInside(runtime, id, [initBusybox, 'sh', '-c', script, initBusybox, key])
  if (exitCode !== 0) throw new Error('the ssh key could not be written')
}

/** Thrown when a container runs but not as ordered. */
export class NotAsOrdered extends Error {}

/** Proves that it runs, that a process of it answers, and that its limits are the ordered ones; answers its uptime clock in seconds. */
export async function proveReady(ground: Ground, plan: Plan, id: string): Promise<{ uptimeSeconds: number; seen: SeenContainer }> {
  const [probe, seen] = await Promise.all([runInside(ground.runtime, id, [initBusybox, 'cat', '/proc/uptime']), ground.runtime.inspect(id)])
  const uptimeSeconds = Number.parseFloat(probe.stdout)
  if (probe.exitCode !== 0 || !Number.isFinite(uptimeSeconds)) {
    throw new NotAsOrdered(`the container does not answer (${probe.exitCode}): ${(probe.stderr || probe.stdout).slice(0, 300).trim()}`)
  }
  if (seen?.state !== 'running') throw new NotAsOrdered('the container ended before it was ready')
  const cpuMillis = Math.min(plan.cpuMillis, ground.cpus * 1000)
  const ordered = { ramMb: plan.ramMb, swapMb: plan.ramMb, cpuMillis, pidsMax, readOnly: true, network: plan.network }
  for (const [name, value] of Object.entries(ordered)) {
    const real = seen.limits[name as keyof typeof ordered]
    if (real !== value) throw new NotAsOrdered(`${name} should be ${value} but is ${real}`)
  }
  return { uptimeSeconds, seen }
}

/** Runs a short program in a container and collects what it wrote, at most 64 KiB of each. */
export async function runInside(
  runtime: Runtime,
  id: string,
  argv: string[],
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const started = await runtime.exec(id, argv)
  const [stdout, stderr] = await Promise.all([collect(started.stdout), collect(started.stderr)])
  return { exitCode: await started.exitCode(), stdout, stderr }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size <= 65_536) chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
