// Volume: the sized writable /workspace of one lease, an ext4 file system in a file, so that its size is a hard limit.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether this process may mount file systems from files; without it /workspace is a tmpfs of the same size. */
export function canMountVolumes(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/dev/loop-control')
}

/** The mount point of a lease's volume; it exists before the volume is mounted, so that a container can be made meanwhile. */
export function volumePoint(dir: string): string {
  const point = join(dir, 'workspace')
  mkdirSync(point, { recursive: true, mode: 0o755 })
  return point
}

/** Makes and mounts the volume; again is the same. No journal: it never outlives its lease. */
export async function mountVolume(dir: string, diskMb: number): Promise<void> {
  const point = volumePoint(dir)
  if (isMounted(point)) return
  const file = join(dir, 'disk.img')
  rmSync(file, { force: true })
  writeFileSync(file, '', { mode: 0o600 })
  truncateSync(file, diskMb * 1024 * 1024)
  await run('mkfs.ext4', ['-q', '-F', '-m0', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', file])
  await run('mount', ['-o', 'loop,nosuid,nodev,noatime', file, point])
  rmdirSync(join(point, 'lost+found'))
}

/** Unmounts and deletes everything of the lease's folder; one that is gone is no error. */
export async function removeVolume(dir: string): Promise<void> {
  if (!existsSync(dir)) return
  const point = join(dir, 'workspace')
  if (isMounted(point)) await run('umount', [point]).catch(() => run('umount', ['-l', point]))
  if (isMounted(point)) throw new Error(`${point} is still mounted`)
  rmSync(dir, { recursive: true, force: true })
}

/** Unmounts whatever is mounted at or below a folder, the innermost first. */
export async function unmountAll(folder: string): Promise<void> {
  const below = mountPoints().filter((point) => point === folder || point.startsWith(`${folder}/`))
  for (const point of below.reverse()) await run('umount', [point]).catch(() => run('umount', ['-l', point]))
}

/** Whether a file system is mounted exactly there. */
export function isMounted(point: string): boolean {
  return mountPoints().includes(point)
}

/** All mount points in the order of mounting (field 5 of /proc/self/mountinfo, octal escapes for blanks). */
function mountPoints(): string[] {
  if (process.platform !== 'linux') return []
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')
  return lines.map((line) =>
    (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
  )
}
