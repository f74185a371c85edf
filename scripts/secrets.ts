// Secrets: the keys of a clone's local market, made once, kept 0600 in a folder that git ignores. Test money only.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createKeyPairSignerFromPrivateKeyBytes } from '@solana/kit'
import { z } from 'zod'
import { stateDir, writeWhole } from './state.ts'

const Secrets = z.strictObject({
  market: z.string(),
  admin: z.string(),
  escrow: z.string(),
  feePayer: z.string(),
  fee: z.string(),
  provider: z.string(),
})

/**
 * Each 32 bytes in base64url: what the market signs with, the admin's bearer token, and the seeds of the wallets of escrow, fee payer, fees
 * and local provider.
 */
export type Secrets = z.infer<typeof Secrets>

/** Reads the secrets; makes them the first time, and what an older file lacks. */
export function openSecrets(): { secrets: Secrets; isNew: boolean } {
  const file = stateDir('secrets.json')
  const isNew = !existsSync(file)
  const known = isNew ? {} : Secrets.partial().parse(JSON.parse(readFileSync(file, 'utf8')))
  const made = Object.fromEntries(Object.keys(Secrets.shape).map((name) => [name, randomBytes(32).toString('base64url')]))
  const secrets = Secrets.parse({ ...made, ...known })
  if (Object.keys(known).length < Object.keys(secrets).length) writeWhole(file, JSON.stringify(secrets, null, 2))
  return { secrets, isNew }
}

/** The Solana address of a seed. */
export async function addressOf(seed: string): Promise<string> {
  return (await createKeyPairSignerFromPrivateKeyBytes(Buffer.from(seed, 'base64url'))).address
}
