// Steps: what a person sees of a long command: one line per step, turning while it works, with the seconds it took.

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const isTerminal = process.stdout.isTTY === true

/** Runs one step. `work` may `note` what it is doing; what it answers as `detail` stays on the line. A failure is shown and thrown on. */
export async function step<T extends { detail: string }>(name: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
  const began = performance.now()
  let doing = ''
  let frame = 0
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`
  const draw = () => {
    frame = (frame + 1) % frames.length
    rewrite(`${frames[frame]} ${name}${doing && `: ${doing}`}  ${seconds()}`)
  }
  if (!isTerminal) console.log(`… ${name}`)
  const timer = isTerminal ? setInterval(draw, 100) : undefined
  try {
    const done = await work((text) => {
      doing = text
      if (!isTerminal) console.log(`  ${text}`)
    })
    finish(timer, `✓ ${name}: ${done.detail}  ${seconds()}`)
    return done
  } catch (error) {
    finish(timer, `✗ ${name}: failed  ${seconds()}`)
    throw error
  }
}

/** A step that could not be had and that the rest does without: what is missing and what to do about it. */
export function missing(name: string, explanation: string): void {
  console.log(`! ${name}: ${explanation.trim().split('\n').join('\n  ')}`)
}

/** Lines up columns with two spaces between them. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}

function finish(timer: NodeJS.Timeout | undefined, line: string): void {
  clearInterval(timer)
  if (isTerminal) rewrite(`${line}\n`)
  else console.log(line)
}

function rewrite(line: string): void {
  const width = process.stdout.columns ?? 120
  const cut = line.endsWith('\n') ? line : line.slice(0, width - 1)
  process.stdout.write(`\r\x1b[2K${cut}`)
}
