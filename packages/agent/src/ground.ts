// Ground: what every command needs of this machine: an engine, the init, the base image and the network.

import { ensureBaseImage, findStaticBusybox } from './base-image.ts'
import type { Ground } from './container.ts'
import { ensureEngine, NoEngine } from './engine.ts'
import type { Home } from './home.ts'
import { installInit } from './init-script.ts'
import { dockerRuntime } from './runtimes/docker.ts'
import { canMountVolumes } from './volume.ts'

/** Prepares everything that leases stand on; each part is kept when it is there. `network` is the one that leases get. */
export async function prepareGround(
  home: Home,
  say: (line: string) => void,
  enginePath?: string,
): Promise<{ ground: Ground; image: string; engineAddress: string }> {
  const engineAddress = await ensureEngine(home, say, enginePath)
  const busybox = findStaticBusybox()
  if (!busybox) throw new NoEngine('A static busybox is needed: install the package busybox-static.')
  const runtime = dockerRuntime(engineAddress)
  const installedInit = home.path('init')
  installInit(installedInit, busybox)
  const { cpus } = await runtime.engine()
  const started = performance.now()
  const { ref, built } = await ensureBaseImage(runtime, busybox)
  if (built) say(`built the base image ${ref} in ${Math.round(performance.now() - started)} ms`)
  return { ground: { runtime, installedInit, volumes: canMountVolumes(), cpus }, image: ref, engineAddress }
}
