#!/usr/bin/env node
// flow402: what a renter or a provider does from the command line.
import { Command } from 'commander'
import { type VerifyFlags, verifyCommand } from './commands/verify.ts'

/** As in receipts of tools like grep and diff: 1 is a finding, 2 is trouble. */
const trouble = 2

const program = new Command('flow402')
  .description('Check what a Flow402 market bills.')
  .version('0.1.0')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : trouble))

program
  .command('verify')
  .description('check receipts, offline: signatures, seconds, charge, fee, refund and anchor')
  .argument('<files...>', 'receipts (.json), many of them (.ndjson), statements (.f402), folders of these, or - for stdin')
  .option('--json', 'print one JSON object per receipt and line, then the summary')
  .option('--rpc <url>', 'also read the memo of the payout from this Solana RPC endpoint')
  .addHelpText('after', '\nExit code: 0 all are good, 1 one is refused or unproven, 2 one cannot be read.')
  .action((files: string[], flags: VerifyFlags) => finish(verifyCommand(files, flags)))

async function finish(done: Promise<number>): Promise<void> {
  try {
    process.exitCode = await done
  } catch (error) {
    console.error(error)
    process.exitCode = trouble
  }
}

// whoever reads our lines may have seen enough
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? (process.exitCode ?? 0) : trouble))

await program.parseAsync()
