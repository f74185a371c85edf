// engine: starts, stops or shows the private container engine of a home.
import { readdirSync, rmSync } from 'node:fs'
import { enginePaths, enginePid, startEngine, stopEngine } from '../engine.ts'
import { openHome } from '../home.ts'
import { dockerAnswers, dockerRuntime } from '../runtimes/docker.ts'
import { removeVolume, unmountAll } from '../volume.ts'

/** Answers the exit code. `stop` ends this home's containers first, paid or not, and unmounts what they used. */
export async function engineCommand(action: string, options: { home?: string }): Promise<number> {
  const home = openHome(options.home)
  const { socket } = enginePaths(home)
  if (action === 'start') {
    console.log(`engine running at ${await startEngine(home, (line) => console.log(line))}`)
    return 0
  }
  if (action === 'stop') {
    if (await dockerAnswers(socket)) {
      const runtime = dockerRuntime(socket)
      const own = [...(await runtime.list(`flow402.home=${home.id}`)), ...(await runtime.list(`flow402.doctor=${home.id}`))]
      await Promise.all(own.map(({ id }) => runtime.remove(id)))
    }
    for (const name of readdirSync(home.path('volumes'))) await removeVolume(home.path('volumes', name))
    const wasRunning = await stopEngine(home)
    if (enginePid(home) !== null) {
      console.error(`the engine does not stop; its log is ${enginePaths(home).log}`)
      return 1
    }
    // an engine that was killed once leaves its folder mounted onto itself
    await unmountAll(home.path('engine'))
    // sockets only; a short path outside of the home must not be left behind
    const { dir } = enginePaths(home)
    await unmountAll(dir)
    if (dir !== home.path('engine')) rmSync(dir, { recursive: true, force: true })
    console.log(wasRunning ? 'engine stopped' : 'no engine of this home was running')
    return 0
  }
  const pid = enginePid(home)
  console.log(pid === null ? 'engine not running' : `engine running pid=${pid} socket=${socket}`)
  return pid === null ? 1 : 0
}
