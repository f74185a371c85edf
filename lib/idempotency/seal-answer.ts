// Sealing answers: a kept answer may hold an access token, so the database only ever sees it encrypted.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { canonicalJson } from '@flow402/protocol/receipt'
import { z } from 'zod'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Asked } from './store.ts'

/** An answer of the API, whole: what is sent again is this, byte by byte. */
export type Answer = { status: number; headers: [string, string][]; body: Buffer }

const ivBytes = 12
const tagBytes = 16
const Sealed = z.strictObject({ headers: z.array(z.tuple([z.string(), z.string()])), body: z.base64() })

/** Encrypts an answer: AES-256-GCM (NIST SP 800-38D), nonce, tag, then the ciphertext; bound to the request it answers. */
export function sealAnswer(keys: Pick<MarketKeys, 'answerSecret'>, asked: Asked, answer: Answer): Buffer {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', keys.answerSecret, iv).setAAD(bindingOf(asked, answer.status))
  const plain = JSON.stringify({ headers: answer.headers, body: answer.body.toString('base64') })
  const encrypted = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), encrypted])
}

/** Decrypts an answer. Throws when it was sealed for another request or with another secret: then it is nobody's to have. */
export function openAnswer(
  keys: Pick<MarketKeys, 'answerSecret'>,
  asked: Asked,
  { status, sealed }: { status: number; sealed: Buffer },
): Answer {
  const decipher = createDecipheriv('aes-256-gcm', keys.answerSecret, sealed.subarray(0, ivBytes), { authTagLength: tagBytes })
  decipher.setAAD(bindingOf(asked, status)).setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes))
  const plain = Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]).toString('utf8')
  const { headers, body } = Sealed.parse(JSON.parse(plain))
  return { status, headers, body: Buffer.from(body, 'base64') }
}

function bindingOf(asked: Asked, status: number): Buffer {
  return Buffer.from(canonicalJson({ ...asked, status }))
}
