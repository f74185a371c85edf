// The published x402 packages pay each other over this chain, unchanged.
import { createSolanaRpc, devnet, generateKeyPairSigner } from '@solana/kit'
import { x402Client } from '@x402/core/client'
import { x402Facilitator } from '@x402/core/facilitator'
import type { Network, PaymentRequirements } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme as ExactClient } from '@x402/svm/exact/client'
import { ExactSvmScheme as ExactFacilitator } from '@x402/svm/exact/facilitator'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { usdcMint } from './genesis.ts'
import { openTestChain } from './open-test-chain.ts'

const network: Network = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 50 })
})
afterAll(() => chain.stop())

async function openShop() {
  const buyer = await chain.openWallet(5_000_000n)
  const seller = await chain.openWallet(0n)
  const feePayer = await generateKeyPairSigner()
  await chain.rpc.requestAirdrop(feePayer.address, 1_000_000_000n as never).send()
  const newFacilitator = () =>
    new x402Facilitator().register(
      network,
      new ExactFacilitator(toFacilitatorSvmSigner(feePayer, { [network]: createSolanaRpc(devnet(chain.rpcUrl)) })),
    )
  const requirements: PaymentRequirements = {
    scheme: 'exact',
    network,
    asset: usdcMint,
    amount: '250000',
    payTo: seller.address,
    maxTimeoutSeconds: 60,
    extra: { feePayer: feePayer.address, memo: `quote ${buyer.address}` },
  }
  const client = new x402Client().register(network, new ExactClient(buyer, { rpcUrl: chain.rpcUrl }))
  const payload = await client.createPaymentPayload({
    x402Version: 2,
    resource: { url: 'http://localhost/rentals', description: 'a rental', mimeType: 'application/json' },
    accepts: [requirements],
  })
  return { buyer, seller, newFacilitator, requirements, payload }
}

test('an exact payment is verified, settled and found on the chain with its memo', async () => {
  const { buyer, seller, newFacilitator, requirements, payload } = await openShop()
  const facilitator = newFacilitator()

  expect(await facilitator.verify(payload, requirements)).toMatchObject({ isValid: true, payer: buyer.address })
  const settled = await facilitator.settle(payload, requirements)

  expect(settled).toMatchObject({ success: true, network })
  expect(await chain.usdcOf(buyer.address)).toBe(4_750_000n)
  expect(await chain.usdcOf(seller.address)).toBe(250_000n)
  const memo = `quote ${buyer.address}`
  const { result } = await chain.call('getSignaturesForAddress', buyer.address, { commitment: 'confirmed', limit: 1 })
  expect(result).toMatchObject([{ signature: settled.transaction, err: null, memo: `[${memo.length}] ${memo}` }])
})

test('a payment that has landed is refused by a facilitator that never saw it', async () => {
  const { seller, newFacilitator, requirements, payload } = await openShop()
  expect(await newFacilitator().settle(payload, requirements)).toMatchObject({ success: true })

  const second = await newFacilitator().verify(payload, requirements)
  expect(second).toMatchObject({ isValid: false, invalidMessage: expect.stringContaining('AlreadyProcessed') })
  expect(await newFacilitator().settle(payload, requirements)).toMatchObject({ success: false })
  expect(await chain.usdcOf(seller.address)).toBe(250_000n)
})

test('a payment without the money for it is refused', async () => {
  const { buyer, seller, newFacilitator, requirements, payload } = await openShop()
  const { wire } = await chain.signTransfer(buyer, seller.address, 4_900_000n)
  expect((await chain.call('sendTransaction', wire, { encoding: 'base64' })).error).toBeUndefined()

  expect(await newFacilitator().verify(payload, requirements)).toMatchObject({
    isValid: false,
    invalidMessage: expect.stringContaining('Custom'),
  })
})
