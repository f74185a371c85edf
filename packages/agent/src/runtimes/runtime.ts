// Runtime: the port to whatever runs containers here; only its implementations know an engine.
import type { Duplex, Readable } from 'node:stream'

/** A container with hard limits; `workspace` null means a tmpfs of diskMb instead of a volume. */
export type ContainerSpec = {
  name: string
  image: string
  labels: Record<string, string>
  /** What runs in place of the image's own entrypoint and command. */
  argv: string[]
  env: Record<string, string>
  hostname: string
  ramMb: number
  cpuMillis: number
  pidsMax: number
  diskMb: number
  /** `none` or the name of a network. */
  network: string
  workspace: string | null
  /** Host folder that is mounted read-only at `initMount`. */
  init: { source: string; target: string }
}

/** What the engine says of one container. Limits are as enforced, so that they can be compared with the order. */
export type SeenContainer = {
  id: string
  name: string
  labels: Record<string, string>
  state: 'created' | 'running' | 'ended'
  exitCode: number | null
  oomKilled: boolean
  finishedAtMs: number | null
  pid: number
  limits: { ramMb: number; swapMb: number; cpuMillis: number; pidsMax: number; readOnly: boolean; network: string }
}

/** A started process in a container. `input` may be ended on its own; `exitCode` answers once the process has ended. */
export type Started = {
  stdin: Duplex
  stdout: Readable
  stderr: Readable
  exitCode: () => Promise<number>
  /** Ends the process and its group at once. */
  kill: () => Promise<void>
}

/** A process on a terminal; `io` carries raw bytes both ways. */
export type StartedTerminal = { io: Duplex; resize: (cols: number, rows: number) => Promise<void>; kill: () => Promise<void> }

export type ContainerEvent = { containerId: string; name: string; action: 'die' | 'destroy' | 'connected' }

export type Runtime = {
  /** Name and version for the self-test's report. */
  engine: () => Promise<{ name: string; cpus: number; ramMb: number }>
  hasImage: (ref: string) => Promise<boolean>
  /** Calls `progress` for every sign of progress; rejects when the image cannot be had. */
  pullImage: (ref: string, progress: (line: string) => void, signal: AbortSignal) => Promise<void>
  importImage: (tar: Readable, ref: string, changes: string[]) => Promise<void>
  /** Makes the container, or finds the one of that name; answers its id. */
  create: (spec: ContainerSpec) => Promise<string>
  /** Starts it; again is the same. */
  start: (id: string) => Promise<void>
  /** Null when there is none of that name or id. */
  inspect: (nameOrId: string) => Promise<SeenContainer | null>
  /** All containers with this label, running or not. */
  list: (label: string) => Promise<SeenContainer[]>
  /** Sends a signal; a container that is not running is no error. */
  signal: (id: string, signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
  /** Kills and removes it; one that is gone is no error. */
  remove: (nameOrId: string) => Promise<void>
  exec: (id: string, argv: string[], options?: { stdin?: boolean }) => Promise<Started>
  terminal: (id: string, argv: string[], size: { cols: number; rows: number }) => Promise<StartedTerminal>
  /** What the container wrote, stdout and stderr in the order in which the engine read them (two pipes: near ties may swap). */
  logs: (id: string, options: { follow: boolean; tail: number | null }) => Promise<Readable>
  /** Follows the engine's events and connects again by itself; `connected` says that some may have been missed. */
  onEvent: (listener: (event: ContainerEvent) => void) => () => void
}
