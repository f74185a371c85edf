// How fast our facilitator judges and settles, beside the reference facilitator of the x402 packages, on the same local chain.
// node bench/facilitator.ts [--rounds 7] [--payments 160]
// Both run in this process and speak to the same chain process; they take turns of a few payments, A-B-A-B, within every round.
// Payments are signed before the clock starts. CPU is that of this process alone: the chain's is the same for both.
import { randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { startLocalnet } from '@flow402/localnet/start'
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import {
  address,
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  type KeyPairSigner,
  partiallySignTransactionMessageWithSigners,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from '@solana/kit'
import { getSetComputeUnitLimitInstruction, getSetComputeUnitPriceInstruction } from '@solana-program/compute-budget'
import { getAddMemoInstruction } from '@solana-program/memo'
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { x402Facilitator } from '@x402/core/facilitator'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'
import { signerFromSeed } from '../lib/payments/x402-chain.ts'
import { openFacilitators } from '../lib/payments/x402-facilitator.ts'
import { openLocalFacilitator } from '../lib/payments/x402-facilitator-local.ts'
import { openFacilitatorRpc } from '../lib/payments/x402-facilitator-rpc.ts'
import { memoProgram } from '../lib/payments/x402-transaction.ts'

type Payment = [PaymentPayload, PaymentRequirements]
/** One of the two; both throw when a payment does not settle, so that nothing but settled payments is counted. */
type Contender = { name: string; feePayer: string; verify(...payment: Payment): Promise<void>; settle(...payment: Payment): Promise<void> }
/** What one contender did in one round: settled payments per second, and this process's CPU per payment in ms. */
type Round = { perSecond: number; cpuMs: number }

const network = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1' as Network
const usdcMint = '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU'
const wide = 32

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '7' }, payments: { type: 'string', default: '160' } } })
const rounds = Math.max(5, Number(values.rounds))
const paymentsPerRound = Number(values.payments)

const chain = await startLocalnet()
try {
  await compare()
} finally {
  await chain.stop()
}

async function compare(): Promise<void> {
  const [payer, payee] = await Promise.all([generateKeyPairSigner(), generateKeyPairSigner()])
  const contenders = [await ours(payee.address), await reference()]
  await askFaucet(chain.faucetUrl, payer.address, 1_000_000_000n)
  for (const each of [payee.address, ...contenders.map(({ feePayer }) => feePayer)]) await askFaucet(chain.faucetUrl, each, 0n)

  console.log(
    `verify and settle, ${rounds} rounds of ${paymentsPerRound} payments each, taking turns; ${cpus().length} cores, ${cpus()[0]?.model}`,
  )
  console.log('| what | ours /s | reference /s | ours / reference (median, range) | ours CPU ms | reference CPU ms |')
  console.log('|---|---|---|---|---|---|')
  for (const withVerify of [true, false])
    for (const lanes of [1, wide]) {
      const taken: Round[][] = contenders.map(() => [])
      // The first round warms both up and is not counted.
      for (let round = -1; round < rounds; round++) {
        const results = await takeTurns(payer, payee.address, contenders, lanes, withVerify)
        if (round >= 0) for (const [index, result] of results.entries()) taken[index]?.push(result)
      }
      const [mine = [], theirs = []] = taken
      const ratios = mine.map((round, index) => round.perSecond / (theirs[index]?.perSecond ?? Number.NaN))
      const what = `${withVerify ? 'verify, then settle' : 'settle alone'}, ${lanes === 1 ? 'one after the other' : `${lanes} at once`}`
      const figures = [
        median(mine.map(({ perSecond }) => perSecond)).toFixed(0),
        median(theirs.map(({ perSecond }) => perSecond)).toFixed(0),
        `**${median(ratios).toFixed(2)}** (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
        median(mine.map(({ cpuMs }) => cpuMs)).toFixed(2),
        median(theirs.map(({ cpuMs }) => cpuMs)).toFixed(2),
      ]
      console.log(`| ${what} | ${figures.join(' | ')} |`)
    }
}

/** Ours, as the market opens it. */
async function ours(payTo: string): Promise<Contender> {
  const seed = randomBytes(32).toString('base64url')
  const facilitator = openFacilitators([openLocalFacilitator({ rpc: openFacilitatorRpc(chain.rpcUrl), seed, ours: [payTo] })])
  return {
    name: 'ours',
    feePayer: (await signerFromSeed(seed)).address,
    async verify(...payment) {
      const refusal = await facilitator.refusalOf(...payment)
      if (refusal !== undefined) throw new Error(`ours refused: ${refusal}`)
    },
    async settle(...payment) {
      const outcome = await facilitator.settle(...payment, async () => undefined)
      if (outcome.kind !== 'landed') throw new Error(`ours did not settle: ${outcome.reason}`)
    },
  }
}

/** The reference, with its RPC client kept, which is its fastest way, and the limits that ours has. */
async function reference(): Promise<Contender> {
  const feePayer = await generateKeyPairSigner()
  const rpc = { [network]: createSolanaRpc(chain.rpcUrl) } as Parameters<typeof toFacilitatorSvmSigner>[1]
  const limits = { maxComputeUnits: 200_000, maxPriorityFeeMicroLamports: 1_000_000, maxRequiredSignatures: 2 }
  const facilitator = new x402Facilitator().register(network, new ExactSvmScheme(toFacilitatorSvmSigner(feePayer, rpc), undefined, limits))
  return {
    name: 'reference',
    feePayer: feePayer.address,
    async verify(...payment) {
      const verified = await facilitator.verify(...payment)
      if (!verified.isValid) throw new Error(`the reference refused: ${verified.invalidReason}`)
    },
    async settle(...payment) {
      const settled = await facilitator.settle(...payment)
      if (!settled.success) throw new Error(`the reference did not settle: ${settled.errorReason}`)
    },
  }
}

/** One round: each settles all of its payments, in turns of a few, so that whatever else the machine does hits both alike. */
async function takeTurns(
  payer: KeyPairSigner,
  payTo: string,
  contenders: Contender[],
  lanes: number,
  withVerify: boolean,
): Promise<Round[]> {
  const signed = await Promise.all(contenders.map(({ feePayer }) => sign(payer, payTo, feePayer)))
  const spent = contenders.map(() => ({ ms: 0, cpuMs: 0 }))
  const turn = Math.max(16, lanes)
  for (let from = 0; from < paymentsPerRound; from += turn)
    for (const [index, contender] of contenders.entries()) {
      const { ms, cpuMs } = await settleAll(contender, (signed[index] ?? []).slice(from, from + turn), lanes, withVerify)
      const sum = spent[index]
      if (sum) Object.assign(sum, { ms: sum.ms + ms, cpuMs: sum.cpuMs + cpuMs })
    }
  return spent.map(({ ms, cpuMs }) => ({ perSecond: (paymentsPerRound * 1_000) / ms, cpuMs: cpuMs / paymentsPerRound }))
}

/** Settles every payment, so many at a time. */
async function settleAll(
  contender: Contender,
  payments: Payment[],
  lanes: number,
  withVerify: boolean,
): Promise<{ ms: number; cpuMs: number }> {
  const queue = payments.values()
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const payment of queue) {
        if (withVerify) await contender.verify(...payment)
        await contender.settle(...payment)
      }
    }),
  )
  const { user, system } = process.cpuUsage(cpuBefore)
  return { ms: performance.now() - startedAt, cpuMs: (user + system) / 1_000 }
}

/** Payments as the stock client makes them, of one atom each, every one with a memo of its own. */
async function sign(payer: KeyPairSigner, payTo: string, feePayer: string): Promise<Payment[]> {
  const mint = address(usdcMint)
  const accountOf = async (owner: string) =>
    (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram: TOKEN_PROGRAM_ADDRESS }))[0]
  const [source, destination] = await Promise.all([accountOf(payer.address), accountOf(payTo)])
  const { value: lifetime } = await createSolanaRpc(chain.rpcUrl).getLatestBlockhash().send()
  return Promise.all(
    Array.from({ length: paymentsPerRound }, async (): Promise<Payment> => {
      const memo = `pay_${randomBytes(16).toString('hex')}`
      const instructions = [
        getSetComputeUnitLimitInstruction({ units: 20_000 }),
        getSetComputeUnitPriceInstruction({ microLamports: 1n }),
        getTransferCheckedInstruction({ source, mint, destination, authority: payer, amount: 1n, decimals: 6 }),
        getAddMemoInstruction({ memo }, { programAddress: memoProgram }),
      ]
      const signed = await partiallySignTransactionMessageWithSigners(
        pipe(
          createTransactionMessage({ version: 0 }),
          (message) => setTransactionMessageFeePayer(address(feePayer), message),
          (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
          (message) => appendTransactionMessageInstructions(instructions, message),
        ),
      )
      const requirements: PaymentRequirements = {
        scheme: 'exact',
        network,
        amount: '1',
        asset: usdcMint,
        payTo,
        maxTimeoutSeconds: 90,
        extra: { feePayer, memo },
      }
      const payload: PaymentPayload = {
        x402Version: 2,
        accepted: requirements,
        payload: { transaction: getBase64EncodedWireTransaction(signed) },
      }
      return [payload, requirements]
    }),
  )
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
