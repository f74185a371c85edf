// The init that is PID 1 of every container: it ends the container at the paid deadline even when the agent is dead.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { writeWhole } from './home.ts'

/** Where the init's folder is mounted read-only in every container, foreign images included. */
export const initMount = '/.flow402'
export const initBusybox = `${initMount}/busybox`

/** A container that was never proven ready ends by itself after this many seconds. */
export const startLimitSeconds = 900

/** Exit code of a container that reached its deadline. */
export const deadlineExitCode = 124

/*
 * Why it is written like this:
 * - Time is /proc/uptime (boot time, monotonic), so a wall clock that jumps cannot shorten or stretch paid time.
 * - The command starts when the first deadline is written: nothing runs before the agent has proven the container ready.
 * - It waits with `read -t` on a pipe of its own instead of a child `sleep`: the renter is the same user and could stop a child.
 * - busybox is mounted execute-only, which makes this process undumpable: the renter cannot trace it or write its memory.
 * - It finds the command in PATH itself: the shell would prefer its own builtins and applets to the image's programs.
 * - `jobs -p` reaps orphans and keeps the status of the command for `wait`.
 */
const script = `now() { read -r up _ </proc/uptime; up=\${up%%.*}; }
nap() { read -r -t "$1" _ <&3 || :; }
alone() { for p in /proc/[0-9]*; do [ "$p" = /proc/1 ] || return 1; done; }
end() {
  trap '' TERM
  kill -TERM -1 2>/dev/null
  now; last=$((up + 2))
  while now; [ "$up" -le "$last" ]; do
    jobs -p >/dev/null
    alone && break
    nap 0.05
  done
  kill -KILL -1 2>/dev/null
  exit "$1"
}
start() {
  case $1 in
    */*) ;;
    *)
      IFS=:
      for dir in $PATH; do
        if [ -x "\${dir:-.}/$1" ] && [ ! -d "\${dir:-.}/$1" ]; then
          program="\${dir:-.}/$1"; shift; set -- "$program" "$@"
          break
        fi
      done
      unset IFS;;
  esac
  exec "$@"
}
exec 3<>${initMount}/nap
trap 'end 143' TERM
trap : CHLD
now; limit=$((up + ${startLimitSeconds}))
until [ -e ${initMount}/deadline ]; do
  now
  [ "$up" -ge "$limit" ] && end ${deadlineExitCode}
  nap 1
done
child=
if [ $# -gt 0 ]; then (exec 3>&-; start "$@") & child=$!; fi
while :; do
  jobs -p >/dev/null
  if [ -n "$child" ]; then
    state=; { read -r state </proc/$child/stat; } 2>/dev/null; state=\${state##*) }
    case \${state%% *} in Z|'') wait $child; end $?;; esac
  fi
  read -r limit _ <${initMount}/deadline
  now
  if [ "$up" -ge "$limit" ]; then end ${deadlineExitCode}; fi
  nap 1
done
`

/** Puts busybox and the script where init folders take them from; `source` is a static busybox of this machine. */
export function installInit(dir: string, source: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const busybox = join(dir, 'busybox')
  if (!existsSync(busybox)) {
    copyFileSync(source, `${busybox}.new`)
    chmodSync(`${busybox}.new`, 0o111)
    renameSync(`${busybox}.new`, busybox)
  }
  const file = join(dir, 'init')
  if (!existsSync(file) || readFileSync(file, 'utf8') !== script) writeWhole(file, script, 0o444)
}

/** Makes the folder that one container mounts: hard links to the installed files, and a pipe of its own. */
export function makeInitFolder(installed: string, dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o755 })
  for (const file of ['busybox', 'init']) if (!existsSync(join(dir, file))) linkSync(join(installed, file), join(dir, file))
  const nap = join(dir, 'nap')
  if (!existsSync(nap)) {
    execFileSync('mkfifo', [nap])
    chmodSync(nap, 0o666)
  }
}

/** Moves the deadline, in whole seconds of the container's own /proc/uptime, and wakes the init. The first deadline starts the command. */
export function writeDeadline(dir: string, uptimeSeconds: number): void {
  writeWhole(join(dir, 'deadline'), `${uptimeSeconds}\n`, 0o444)
  try {
    const pipe = openSync(join(dir, 'nap'), constants.O_WRONLY | constants.O_NONBLOCK)
    writeSync(pipe, '\n')
    closeSync(pipe)
  } catch {
    // nobody waits on the pipe yet: the init reads the file before it first waits
  }
}
