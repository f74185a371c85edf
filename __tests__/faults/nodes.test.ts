// Fault 17: nodes that lag, lie or disagree. One node alone ends no payment.
import { createSolanaRpc } from '@solana/kit'
import { afterAll, beforeAll, expect } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { fault } from '../support/faults.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { type LyingNode, openLyingNode } from '../support/lying-node.ts'
import { settleAll } from '../support/settle-all.ts'

const price = 10_000n
const forEver = 100_000

let market: TestHouse
let node: LyingNode
beforeAll(async () => {
  market = await openTestHouse({
    terms: { unitsTotal: 20 },
    slotMs: 15,
    async settings({ rpcUrl, viewUrl }) {
      node = await openLyingNode(rpcUrl)
      return { SOLANA_RPC_URL: node.url, SOLANA_RPC_WITNESS_URLS: viewUrl }
    },
  })
})
afterAll(async () => {
  await market?.close()
  await node?.close()
})

const primary = (plan: Parameters<typeof planFault>[1], method?: string) => planFault(market.chain.rpcUrl, plan, method)
const witness = (plan: Parameters<typeof planFault>[1], method?: string) => planFault(market.chain.viewUrl, plan, method)
const reads = ['getTransaction', 'getSignaturesForAddress', 'getSignatureStatuses']

/** Waits until the chain is past the last height of a payment by so much that nobody could still wait for it. */
async function untilPast(paymentId: string): Promise<void> {
  const [row] = await market.sql(`select last_valid_block_height::text as height from payment where id = '${paymentId}'`)
  // One of them may be behind, for the test's own reasons.
  const nodes = [market.chain.rpcUrl, market.chain.viewUrl].map((url) => createSolanaRpc(url))
  const isPast = async () => {
    const heights = await Promise.all(nodes.map((rpc) => rpc.getBlockHeight({ commitment: 'finalized' }).send()))
    return heights.some((height) => height > BigInt(String(row?.height)))
  }
  await expect.poll(isPast).toBe(true)
}
/** What the market says of a payment after several looks at it. */
async function afterLooks(paymentId: string): Promise<unknown> {
  for (let look = 0; look < 4; look++) {
    await market.advance(9_000)
    await market.tick()
  }
  return market.paymentState(paymentId)
}

fault(17, 'RPC nodes that lag, lie or disagree', async () => {
  const words: string[] = []

  // The first node denies what landed, long after it could have landed; the other one has it.
  node.lies = true
  const denied = await market.quote()
  const first = await market.pay(denied.request, await market.sign(denied))
  expect([201, 202], first.text).toContain(first.status)
  await untilPast(denied.paid.paymentId)
  await market.advance(31_000)
  expect(await afterLooks(denied.paid.paymentId)).toBe('settled')
  expect(node.denied).toBeGreaterThan(3)
  node.lies = false
  words.push(`denied ${node.denied} times by one node, known to the other: settled, past its last height too`)

  // The first node lags behind, the other does not answer: nobody knows, so nothing is decided; then the other one has it.
  const before = (await market.balances()).renter
  const lagged = await market.quote()
  const header = await market.sign(lagged)
  for (const method of reads) await Promise.all([primary({ refuse: forEver }, method), witness({ refuse: forEver }, method)])
  const second = await market.pay(lagged.request, header)
  expect(second, second.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  expect(before - (await market.balances()).renter).toBe(price)
  await primary({ lagSlots: 1_000 })
  for (const method of reads) await primary({}, method)
  await untilPast(lagged.paid.paymentId)
  const meanwhile = await afterLooks(lagged.paid.paymentId)
  expect(meanwhile).toBe('submitted')
  for (const method of reads) await witness({}, method)
  expect(await market.untilDecided(lagged.paid.paymentId)).toBe('settled')
  words.push(`one behind and one silent: ${meanwhile}, then settled by the word of the other`)
  await primary({ lagSlots: 0 })

  // The first node says truly that nothing landed and nothing can land; the other is not that far. No terminal word from one node.
  await primary({ refuse: forEver }, 'sendTransaction')
  const never = await market.quote()
  expect((await market.pay(never.request, await market.sign(never))).status).toBe(202)
  await witness({ lagSlots: 1_000 })
  await untilPast(never.paid.paymentId)
  const waits = await afterLooks(never.paid.paymentId)
  expect(waits).toBe('submitted')
  await witness({ lagSlots: 0 })
  expect(await market.untilDecided(never.paid.paymentId)).toBe('expired')
  await primary({}, 'sendTransaction')
  words.push(`absent for one node, the other behind: ${waits}, and expired only when both know it`)

  const { payments, landedIn } = await settleAll(market)
  expect([payments, landedIn]).toEqual([3, 2])
  return words.join('; ')
})
