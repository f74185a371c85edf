// Faults 1 to 3: one payment, sent again and again, in any wrapping, to two replicas at once, is one payment.
import { decodePaymentSignatureHeader } from '@x402/core/http'
import { afterAll, beforeAll, expect } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { fault, shown, tally } from '../support/faults.ts'
import { encodeHeader } from '../support/forged-payment.ts'
import type { Answered } from '../support/house.ts'
import { openReplicaHouse, type Replica, type ReplicaHouse } from '../support/replica-house.ts'

let house: ReplicaHouse
beforeAll(async () => {
  house = await openReplicaHouse({ terms: { unitsTotal: 40 } })
})
afterAll(() => house?.close())

const replicaOf = (index: number) => house.replicas[index % house.replicas.length] as Replica
const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)
const transfersOf = async (before: bigint) => (before - (await house.balances()).renter) / 10_000n

fault(1, 'one payment for two rentals, 50 times at once on two replicas', async () => {
  const before = (await house.balances()).renter
  const [mine, other] = [await house.quote(), await house.quote()]
  const header = await house.sign(mine)
  // The transaction of the first quote, presented as the payment of the second.
  const [accepted] = other.paid.paymentRequired.accepts
  const stolen = encodeHeader({ ...decodePaymentSignatureHeader(header), accepted })
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      index % 2 === 0 ? house.pay(mine, header, replicaOf(index / 2)) : house.pay(other, stolen, replicaOf((index - 1) / 2)),
    ),
  )
  const [forMine, forOther] = [0, 1].map((odd) => answers.filter((_, index) => index % 2 === odd)) as [Answered[], Answered[]]
  for (const answer of forMine) expect(answer, answer.text).toMatchObject({ status: 201, body: { rental: { id: mine.paid.rentalId } } })
  for (const answer of forOther) expect(answer, answer.text).toMatchObject({ status: 409, body: { code: 'payment_already_used' } })
  expect(await transfersOf(before)).toBe(1n)
  expect(await house.sql(`select 1 from rental where id = '${other.paid.rentalId}'`)).toHaveLength(0)
  const { landedIn } = await house.checkEmpty()
  expect(landedIn).toBe(1)
  return `its own rental ${tally(forMine.map(statusAndCode))}, the other ${tally(forOther.map(statusAndCode))}; ${landedIn} transfer on chain`
})

shown('same payment sent 50 times to two replicas', async () => {
  const before = (await house.balances()).renter
  const quoted = await house.quote()
  const header = await house.sign(quoted)
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => house.pay(quoted, header, replicaOf(index))))
  expect(new Set(answers.map(statusAndCode))).toEqual(new Set(['201']))
  expect(new Set(answers.map(({ body }) => body.accessToken)).size).toBe(1)
  expect(new Set(answers.map(({ body }) => (body.rental as { id: string }).id))).toEqual(new Set([quoted.paid.rentalId]))
  const transfers = await transfersOf(before)
  expect(transfers).toBe(1n)
  await house.checkEmpty()
  const [first, ...others] = answers
  return `${transfers} transfer on chain, 1x ${first?.status} and ${others.length} clear answers: ${tally(others.map(statusAndCode))}, all for one rental`
})

fault(2, 'the same request retried after the client gave up waiting', async () => {
  const before = (await house.balances()).renter
  const quoted = await house.quote()
  const header = await house.sign(quoted)
  // The client hears nothing: its connection is given up while the market still waits for the chain.
  await planFault(house.chain.rpcUrl, { delayMs: 2_000 }, 'sendTransaction')
  const impatient = await fetch(`${house.first.url}/api/rentals`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'payment-signature': header },
    body: JSON.stringify(quoted.request),
    signal: AbortSignal.timeout(500),
  }).then(
    () => 'answered',
    (error: Error) => error.name,
  )
  expect(impatient).toBe('TimeoutError')
  const retried = [await house.payUntilKnown(quoted, header, replicaOf(1)), await house.pay(quoted, header, replicaOf(0))]
  for (const answer of retried) expect(answer, answer.text).toMatchObject({ status: 201, body: { rental: { id: quoted.paid.rentalId } } })
  expect(new Set(retried.map(({ body }) => body.accessToken)).size).toBe(1)
  const [payment] = await house.sql(`select count(*)::int as n from payment where rental_id = '${quoted.paid.rentalId}'`)
  expect(payment?.n).toBe(1)
  const transfers = await transfersOf(before)
  expect(transfers).toBe(1n)
  await house.checkEmpty()
  return `the client saw a ${impatient}, its retries ${tally(retried.map(statusAndCode))} with one token; ${transfers} transfer on chain`
})

fault(3, 'the unsigned places of a payment filled with 100 kinds of noise', async () => {
  const before = (await house.balances()).renter
  const quoted = await house.quote()
  const header = await house.sign(quoted)
  const payload = JSON.parse(Buffer.from(header, 'base64').toString()) as { payload: { transaction: string } }
  const variants = Array.from({ length: 100 }, (_, index) => {
    const wire = Buffer.from(payload.payload.transaction, 'base64')
    wire.fill(index + 1, 1, 65)
    return encodeHeader({ ...payload, payload: { transaction: wire.toString('base64') } })
  })
  expect(new Set(variants).size).toBe(100)
  const answers = await Promise.all(variants.map((each, index) => house.pay(quoted, each, replicaOf(index))))
  expect(new Set(answers.map(statusAndCode))).toEqual(new Set(['201']))
  const transfers = await transfersOf(before)
  expect(transfers).toBe(1n)
  const [claims] = await house.sql(`select count(*)::int as n from payment where rental_id = '${quoted.paid.rentalId}'`)
  expect(claims?.n).toBe(1)
  await house.checkEmpty()
  return `${tally(answers.map(statusAndCode))}; ${claims?.n} claim, ${transfers} transfer on chain`
})
