// Once, with two replicas and processes that die: the row decides, whoever reads it.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { runStatements } from '../../__tests__/support/statements.ts'
import { deriveMarketKeys } from '../auth/market-keys.ts'
import { type Db, openDatabase } from '../db/client.ts'
import { forgetOldAnswers, keptMs } from './forget-old-answers.ts'
import { claimMs, fateOf, once } from './once.ts'
import { readKey } from './read-key.ts'
import { type Answer, openAnswer, sealAnswer } from './seal-answer.ts'
import { type Asked, claimKey, setAnswer } from './store.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let replicas: [Db, Db]
let nowMs = 1_800_000_000_000
const now = () => nowMs
const keys = deriveMarketKeys(randomBytes(32).toString('base64url'))

beforeAll(async () => {
  database = await freshDatabase()
  replicas = [openDatabase(database.url), openDatabase(database.url)]
})
afterAll(async () => {
  await Promise.all(replicas.map((db) => db.destroy()))
  await database.drop()
})

const asked = (changes: Partial<Asked> = {}): Asked => ({
  scope: 'anonymous',
  key: randomBytes(8).toString('hex'),
  fingerprint: 'f'.repeat(64),
  proof: null,
  ...changes,
})
const answer = (status: number, body = randomBytes(4).toString('hex'), headers: [string, string][] = []): Answer => ({
  status,
  headers,
  body: Buffer.from(body),
})
const on = (replica: 0 | 1) => ({ db: replicas[replica], now, keys })
const claim = (request: Asked, token: string) => claimKey(replicas[0], request, { token, nowMs, untilMs: nowMs + claimMs })
const refusal = (code: string) => expect.objectContaining({ code })

test('W1: the same request under a key is done once; then both replicas give the same bytes again', async () => {
  const request = asked()
  let done = 0
  const work = async () => answer(201, `${++done}`, [['location', '/x']])
  const first = await once(on(0), request, work)
  for (const replica of [0, 1] as const) {
    const again = await once(on(replica), request, work)
    expect(again).toEqual({ answer: first.answer, isReplay: true })
  }
  expect(done).toBe(1)
})

test('W1: two replicas that get the same request at once do it once, and the other is told that it is in flight', async () => {
  const request = asked()
  const finished = Promise.withResolvers<void>()
  let done = 0
  const refused: Error[] = []
  const work = async () => {
    done++
    await finished.promise
    return answer(200)
  }
  const tries = Array.from({ length: 20 }, (_, index) =>
    once(on((index % 2) as 0 | 1), request, work).catch((error: Error) => void refused.push(error)),
  )
  // Whoever did not get the claim is answered while the work is still going on.
  await expect.poll(() => refused.length).toBe(19)
  finished.resolve()
  await Promise.all(tries)
  expect(refused).toEqual(Array(19).fill(refusal('idempotency_in_flight')))
  expect(done).toBe(1)
})

test('W1: another request under the same key is refused, whether the first is in flight or answered', async () => {
  const request = asked()
  const other = { ...request, fingerprint: 'e'.repeat(64) }
  const never = () => Promise.reject(new Error('this must not be done'))
  expect(await claim(request, 'dead')).toBe(true)
  await expect(once(on(1), other, never)).rejects.toEqual(refusal('idempotency_key_reused'))
  nowMs += claimMs
  await expect(once(on(1), other, never)).rejects.toEqual(refusal('idempotency_key_reused'))
  await once(on(0), request, async () => answer(200))
  await expect(once(on(1), other, never)).rejects.toEqual(refusal('idempotency_key_reused'))
})

test('W1: a key is its caller’s: the same key of another caller is another key', async () => {
  const request = asked({ scope: 'one' })
  const mine = await once(on(0), request, async () => answer(200))
  const theirs = await once(on(0), { ...request, scope: 'two' }, async () => answer(200))
  expect(theirs.isReplay).toBe(false)
  expect(theirs.answer.body).not.toEqual(mine.answer.body)
})

test('a process that died frees its key when the lease runs out, for one other; what it answers later is not kept', async () => {
  const request = asked()
  expect(await claim(request, 'dead')).toBe(true)
  nowMs += claimMs - 1
  await expect(once(on(1), request, async () => answer(200))).rejects.toEqual(refusal('idempotency_in_flight'))
  nowMs += 1
  const claims = await Promise.all(['a', 'b', 'c', 'd'].map((token) => claim(request, token)))
  expect(claims.filter(Boolean)).toHaveLength(1)
  const late = answer(200, 'late')
  expect(await setAnswer(replicas[0], request, 'dead', { status: 200, sealed: sealAnswer(keys, request, late), nowMs })).toBe(false)
  nowMs += claimMs
  const living = await once(on(1), request, async () => answer(200, 'living'))
  expect(living.isReplay).toBe(false)
  expect((await once(on(0), request, async () => answer(200))).answer.body.toString()).toBe('living')
})

test('work that takes longer than the lease keeps its key as long as its process lives', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const request = asked()
  const [began, finished] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const leaseMs = async () => {
    const [row] = await runStatements(database.url, `select claimed_until from idempotent_request where key = '${request.key}'`)
    return Number(row?.claimed_until) - nowMs
  }
  try {
    const working = once(on(0), request, async () => {
      began.resolve()
      await finished.promise
      return answer(200, 'slow')
    })
    await began.promise
    for (let passedMs = 0; passedMs < 3 * claimMs; passedMs += claimMs / 2) {
      nowMs += claimMs / 2
      vi.advanceTimersByTime(claimMs / 2)
      await expect.poll(leaseMs).toBe(claimMs)
      await expect(once(on(1), request, async () => answer(200))).rejects.toEqual(refusal('idempotency_in_flight'))
    }
    finished.resolve()
    expect((await working).answer.body.toString()).toBe('slow')
    expect((await once(on(1), request, async () => answer(200))).isReplay).toBe(true)
  } finally {
    vi.useRealTimers()
  }
})

test('a key that came with a payment answers nobody who comes with another one or with none, and takes no second one', async () => {
  const never = () => Promise.reject(new Error('this must not be done'))
  const [mine, theirs] = ['1'.repeat(64), '2'.repeat(64)]
  for (const [status, headers] of [
    [201, []],
    [410, []],
    [202, [['retry-after', '2']]],
    [500, []],
  ] as [number, [string, string][]][]) {
    const request = asked({ proof: mine })
    await once(on(0), request, async () => answer(status, 'for the payer', headers))
    for (const proof of [theirs, null])
      await expect(once(on(1), { ...request, proof }, never)).rejects.toEqual(refusal('idempotency_key_reused'))
    const again = await once(on(1), request, async () => answer(201, 'done now'))
    expect(again.answer.body.toString()).toBe(status === 201 || status === 410 ? 'for the payer' : 'done now')
  }
})

test('after 402 and 429 nothing happened, so the key is free for any payment and any request', async () => {
  for (const status of [402, 429]) {
    const request = asked({ proof: '1'.repeat(64) })
    await once(on(0), request, async () => answer(status))
    const other = { ...request, fingerprint: 'e'.repeat(64), proof: '2'.repeat(64) }
    expect(await once(on(0), other, async () => answer(201, 'bought'))).toMatchObject({ isReplay: false, answer: { status: 201 } })
  }
  expect([200, 201, 404, 409, 410, 422].map((status) => fateOf({ status, headers: [] }))).toEqual(Array(6).fill('keep'))
  expect([500, 502, 503, 504].map((status) => fateOf({ status, headers: [] }))).toEqual(Array(4).fill('retry'))
  expect(fateOf({ status: 202, headers: [] })).toBe('keep')
  expect(fateOf({ status: 202, headers: [['Retry-After', '2']] })).toBe('retry')
})

test('what is kept cannot be read from the database, nor moved to another key, payment or status', async () => {
  const request = asked({ proof: '1'.repeat(64) })
  const secret = answer(201, 'f402_the-access-token')
  await once(on(0), request, async () => secret)
  const [row] = await runStatements(database.url, `select answer from idempotent_request where key = '${request.key}'`)
  const sealed = row?.answer as Buffer
  expect(sealed.toString('latin1')).not.toContain('f402_')
  expect(openAnswer(keys, request, { status: 201, sealed })).toEqual(secret)
  for (const changed of [{ key: 'k' }, { scope: 's' }, { proof: null }, { fingerprint: 'x' }])
    expect(() => openAnswer(keys, { ...request, ...changed }, { status: 201, sealed })).toThrow()
  expect(() => openAnswer(keys, request, { status: 200, sealed })).toThrow()
  const stranger = deriveMarketKeys(randomBytes(32).toString('base64url'))
  expect(() => openAnswer(stranger, request, { status: 201, sealed })).toThrow()
})

test('answers are kept for a day and forgotten after it, but never while somebody works', async () => {
  const [request, busy] = [asked(), asked()]
  await once(on(0), request, async () => answer(200))
  nowMs += keptMs
  await forgetOldAnswers(on(0))
  expect((await once(on(0), request, async () => answer(200))).isReplay).toBe(true)
  expect(await claim(busy, 'busy')).toBe(true)
  await runStatements(database.url, `update idempotent_request set created_at = '2020-01-01' where key = '${busy.key}'`)
  nowMs += 1
  expect(await forgetOldAnswers(on(0))).toBeGreaterThan(0)
  expect((await once(on(0), request, async () => answer(200))).isReplay).toBe(false)
  await expect(once(on(0), busy, async () => answer(200))).rejects.toEqual(refusal('idempotency_in_flight'))
})

test('a key is 1 to 255 visible ASCII characters, quoted or bare, and means the same both ways', () => {
  for (const key of ['a', 'k'.repeat(255), '8e03978e-40d5-43dd-bc93-6894a57f9324', "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"]) {
    expect(readKey(key)).toBe(key)
    expect(readKey(`"${key}"`)).toBe(key)
  }
  expect(readKey('"a\\"b\\\\c"')).toBe('a"b\\c')
  for (const wrong of [
    '',
    '""',
    ' ',
    'a b',
    'a, b',
    '"a b"',
    '"a',
    'a\u0000',
    'ä',
    'k'.repeat(256),
    `"${'k'.repeat(256)}"`,
    '"a\\b"',
    '"a";x=1',
  ])
    expect(() => readKey(wrong), wrong).toThrow(refusal('idempotency_key_invalid'))
})
