// Secrets: the keys of a clone's local market, made once, kept 0600 in a folder that git ignores. Test money only.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createKeyPairSignerFromPrivateKeyBytes } from '@solana/kit'
import { z } from 'zod'
import { stateDir, writeWhole } from './state.ts'

const names = ['market', 'escrow', 'feePayer', 'fee', 'provider'] as const
const Secrets = z.strictObject({ market: z.string(), escrow: z.string(), feePayer: z.string(), fee: z.string(), provider: z.string() })

/** Each 32 bytes in base64url: what the market signs with, and the seeds of the wallets of escrow, fee payer, fees and local provider. */
export type Secrets = z.infer<typeof Secrets>

/** Reads the secrets, or makes them the first time. */
export function openSecrets(): { secrets: Secrets; isNew: boolean } {
  const file = stateDir('secrets.json')
  if (existsSync(file)) return { secrets: Secrets.parse(JSON.parse(readFileSync(file, 'utf8'))), isNew: false }
  const secrets = Secrets.parse(Object.fromEntries(names.map((name) => [name, randomBytes(32).toString('base64url')])))
  writeWhole(file, JSON.stringify(secrets, null, 2))
  return { secrets, isNew: true }
}

/** The Solana address of a seed. */
export async function addressOf(seed: string): Promise<string> {
  return (await createKeyPairSignerFromPrivateKeyBytes(Buffer.from(seed, 'base64url'))).address
}
