// npm run up: the whole market on this machine, in the foreground, until Ctrl-C. npm run dev does the same with live pages.
import { CannotStart, prepareHouse, whatRunsWhere } from './house.ts'
import { table } from './steps.ts'

const port = Number(process.env.PORT ?? 3000)
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`PORT must be a number from 0 to 65535, not ${process.env.PORT}`)
  process.exit(2)
}

let isEnding = false

const house = prepareHouse({ port, isDevelopment: process.argv.includes('--dev') })

async function end(exitCode: number, why: string): Promise<void> {
  if (isEnding) return
  isEnding = true
  console.log(`\n${why}`)
  await house.stop()
  console.log('Everything that was started here has ended.')
  process.exit(exitCode)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0, 'Ending …'))
// The bootstrap was killed: nobody would be left to end us.
process.on('disconnect', () => void end(1, 'The command that started this was killed; ending …'))

try {
  const running = await house.raise()
  console.log(`\n${table(whatRunsWhere(running))}\n\nFlow402 is ready: ${running.url}\nCtrl-C ends it. In another terminal: npm run demo`)
} catch (error) {
  if (error instanceof CannotStart) {
    console.error(error.message)
    process.exit(1)
  }
  if (!isEnding) await end(1, `${error instanceof Error ? error.message : String(error)}\nEnding what was started …`)
}
