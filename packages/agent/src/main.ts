#!/usr/bin/env node
// The provider's program: setup, doctor, run, engine and token.
import { Argument, Command } from 'commander'
import { doctorCommand } from './commands/doctor.ts'
import { engineCommand } from './commands/engine.ts'
import { runCommand } from './commands/run.ts'
import { type SetupOptions, setupCommand } from './commands/setup.ts'
import { tokenCommand } from './commands/token.ts'
import { NoEngine } from './engine.ts'
import { agentVersion } from './home.ts'
import { HomeInUse } from './journal.ts'

type Common = { home?: string; engineSocket?: string }

const program = new Command('flow402-agent').description('Rents out this machine by the minute.').version(agentVersion)

function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--home <dir>', 'folder with key, config and journal (default ~/.flow402-agent)')
    .option('--engine-socket <address>', 'container engine to use: a unix socket or tcp://host:port')
}

command('setup', 'prepare this machine and enrol it with a market')
  .requiredOption('--market <url>', 'address of the market')
  .requiredOption('--token <token>', 'one-time enrolment token')
  .requiredOption('--name <name>', 'name of this machine')
  .requiredOption('--region <region>', 'where it stands')
  .requiredOption('--payout <address>', 'Solana address that is paid')
  .option('--payout-min-atoms <atoms>', 'be paid from this sum on, in micro-USDC', '0')
  .option('--payout-interval-minutes <n>', 'be paid at most this often', '0')
  .requiredOption('--price-atoms-per-hour <atoms>', 'price of one unit per hour in micro-USDC')
  .option('--units <n>', 'units to offer (default: what half of the free RAM allows)')
  .option('--unit-ram-mb <mb>', 'RAM of one unit', '1024')
  .option('--unit-cpu-millis <millis>', 'CPU share of one unit', '500')
  .option('--unit-disk-mb <mb>', 'disk of one unit', '1024')
  .option('--min-minutes <n>', 'shortest rental', '1')
  .option('--max-minutes <n>', 'longest rental', '1440')
  .action((options: SetupOptions) => finish(setupCommand(options)))

command('doctor', 'prove that this machine fences its containers')
  .option('--json', 'print only the report, as JSON')
  .action((options: Common & { json?: boolean }) => finish(doctorCommand(options)))

command('run', 'connect to the market and serve rentals').action((options: Common) => finish(runCommand(options)))

command('engine', 'the private container engine of this home')
  .addArgument(new Argument('<action>').choices(['start', 'stop', 'status']))
  .action((action: string, options: Common) => finish(engineCommand(action, options)))

command('token', 'print a bearer token of this machine for the market, good for a few minutes').action((options: Common) =>
  finish(tokenCommand(options)),
)

async function finish(done: Promise<number>): Promise<void> {
  try {
    process.exitCode = await done
  } catch (error) {
    const expected = error instanceof NoEngine || error instanceof HomeInUse
    console.error(expected ? error.message : error)
    process.exitCode = expected ? 2 : 1
  }
  // kept-alive sockets of the engine must not hold the process
  setImmediate(() => process.exit())
}

// whoever reads our lines may be gone; rentals must not end because of that
for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined)

await program.parseAsync()
