// The floor under a payment: the reference facilitator settling the same transfer on the same chain, with nothing written down.
import { createSolanaRpc, generateKeyPairSigner } from '@solana/kit'
import { x402Client } from '@x402/core/client'
import { x402Facilitator } from '@x402/core/facilitator'
import type { Network, PaymentRequirements } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme as ClientScheme } from '@x402/svm/exact/client'
import { ExactSvmScheme as FacilitatorScheme } from '@x402/svm/exact/facilitator'

type Place = { network: string; rpcUrl: string; usdcMint: string; faucetUrl: string }

/** Opens a reference facilitator with own funded keys; `settle` returns the ms of one settlement, signing by the client not counted. */
export async function openSettleFloor(place: Place) {
  const [payer, payee, feePayer] = await Promise.all([generateKeyPairSigner(), generateKeyPairSigner(), generateKeyPairSigner()])
  for (const [address, usdcAtoms] of [
    [payer.address, '10000000'],
    [payee.address, '0'],
    [feePayer.address, '0'],
  ] as const)
    await fetch(place.faucetUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ address, usdcAtoms }),
    })
  const network = place.network as Network
  const signer = toFacilitatorSvmSigner(feePayer, { [network]: createSolanaRpc(place.rpcUrl) } as Parameters<
    typeof toFacilitatorSvmSigner
  >[1])
  const facilitator = new x402Facilitator().register(network, new FacilitatorScheme(signer))
  const client = new x402Client().register(network, new ClientScheme(payer, { rpcUrl: place.rpcUrl }))
  return {
    async settle(amountAtoms: string): Promise<number> {
      const requirements: PaymentRequirements = {
        scheme: 'exact',
        network,
        amount: amountAtoms,
        asset: place.usdcMint,
        payTo: payee.address,
        maxTimeoutSeconds: 90,
        extra: { feePayer: feePayer.address },
      }
      const payload = await client.createPaymentPayload({ x402Version: 2, resource: { url: 'http://floor/' }, accepts: [requirements] })
      const startedAt = performance.now()
      const result = await facilitator.settle(payload, requirements)
      if (!result.success) throw new Error(`the reference facilitator refused: ${result.errorReason}`)
      return performance.now() - startedAt
    },
  }
}
