// Home: the one folder of this program on a provider's machine, its key, its config and the paths inside it.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { OfferTerms, SolanaAddress } from '@flow402/protocol/node'
import { z } from 'zod'

/** Version of this program, told to the market. */
export const agentVersion = '0.1.0'

/** What `setup` agreed with the market. `marketPublicKey` is pinned: orders and stream tokens are believed only from it. */
export const Config = z.strictObject({
  market: z.url(),
  nodeId: z.string(),
  offerId: z.string(),
  marketPublicKey: z.string(),
  tunnelUrl: z.string(),
  name: z.string(),
  region: z.string(),
  payoutAddress: SolanaAddress,
  offer: OfferTerms,
})
export type Config = z.infer<typeof Config>

/** An opened home: `id` is derived from the node's key and labels every container, so that homes never touch each other's. */
export type Home = { dir: string; id: string; identity: Identity; path: (...parts: string[]) => string }

/** The node's Ed25519 key, made on this host and never sent: `publicKey` is 32 bytes in base64url, `sign` gives base64url. */
export type Identity = { publicKey: string; sign: (bytes: Uint8Array) => string }

/** Opens the folder (made 0700 when missing) and the key in it (made when missing). */
export function openHome(dir: string | undefined): Home {
  const root = resolve(dir ?? join(homedir(), '.flow402-agent'))
  mkdirSync(root, { recursive: true, mode: 0o700 })
  chmodSync(root, 0o700)
  for (const folder of ['volumes', 'engine', 'logs']) mkdirSync(join(root, folder), { recursive: true, mode: 0o700 })
  const identity = openIdentity(join(root, 'key'))
  const id = createHash('sha256').update(identity.publicKey).digest('hex').slice(0, 12)
  return { dir: root, id, identity, path: (...parts) => join(root, ...parts) }
}

function openIdentity(file: string): Identity {
  if (!existsSync(file)) {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeWhole(file, String(pem))
  }
  const key: KeyObject = createPrivateKey(readFileSync(file))
  const { x } = createPublicKey(key).export({ format: 'jwk' })
  if (!x) throw new Error(`${file} is not an Ed25519 key`)
  return { publicKey: x, sign: (bytes) => sign(null, bytes, key).toString('base64url') }
}

/** The config, or null before `setup`. */
export function readConfig(home: Home): Config | null {
  const file = home.path('config.json')
  return existsSync(file) ? Config.parse(JSON.parse(readFileSync(file, 'utf8'))) : null
}

export function writeConfig(home: Home, config: Config): void {
  writeWhole(home.path('config.json'), `${JSON.stringify(config, null, 2)}\n`)
}

/** Writes a file so that a reader or a crash sees the old content or the new one, never a part. */
export function writeWhole(file: string, content: string, mode = 0o600): void {
  const next = `${file}.${process.pid}.new`
  writeFileSync(next, content, { mode, flush: true })
  renameSync(next, file)
}
