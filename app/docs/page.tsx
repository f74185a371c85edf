// How a program rents: the same request twice, with a payment in between.

import { headers } from 'next/headers'
import Link from 'next/link'
import type { ReactNode } from 'react'
import { house } from '../../lib/house.ts'

export const metadata = { title: 'Rent with a program' }

export default async function Page() {
  const incoming = await headers()
  const origin = `${incoming.get('x-forwarded-proto') ?? 'http'}://${incoming.get('host') ?? 'localhost'}`
  const { network, rpcUrl } = house().network()
  return (
    <article className="grid max-w-3xl gap-6 text-sm leading-6">
      <header>
        <h1 className="font-semibold text-xl">Rent with a program</h1>
        <p className="mt-1 text-ink-2">
          No account and no key: a request is answered with <b className="font-medium text-ink">402 Payment Required</b> and a price. Pay
          it, repeat the request, and the answer is a machine with an access token. The wire is x402 version 2, scheme <Code>exact</Code>,
          USDC on Solana.
        </p>
      </header>
      <Section title="1. Ask for the price">
        <p>An unpaid request reserves nothing and stores nothing.</p>
        <Block>{`curl -s ${origin}/api/offers | jq '.items[0]'

curl -i ${origin}/api/rentals \\
  -H 'content-type: application/json' \\
  -d '{"offerId":"ofr_…","units":1,"minutes":10}'

HTTP/1.1 402 Payment Required
payment-required: eyJ4NDAyVmVyc2lvbiI6Mi…
{"code":"payment_required","expiresAt":"…","price":{"prepaidAtoms":"…"},…}`}</Block>
      </Section>
      <Section title="2. Pay and repeat">
        <p>
          The stock client does both. Its own limit is one dollar per payment; raise it where you mean to. USDC has six decimals, so
          1,000,000 atoms are one dollar.
        </p>
        <Block>{`import { createKeyPairSignerFromBytes } from '@solana/kit'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { ExactSvmScheme } from '@x402/svm/exact/client'

const signer = await createKeyPairSignerFromBytes(secretKey)
const wallet = new x402Client().register(
  '${network}',
  new ExactSvmScheme(signer, { rpcUrl: '${rpcUrl}' }),
)
const pay = wrapFetchWithPayment(fetch, wallet)

const answer = await pay('${origin}/api/rentals', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ offerId: 'ofr_…', units: 1, minutes: 10 }),
})
const { rental, accessToken } = await answer.json() // 201`}</Block>
        <p>
          <b className="font-medium">202</b> with <Code>payment_pending</Code> means that the chain has not spoken yet: ask{' '}
          <Code>GET /api/payments/:id</Code>, then send the same request with the same <Code>PAYMENT-SIGNATURE</Code>. It can never be
          charged twice. Do not sign a second payment.
        </p>
      </Section>
      <Section title="3. Use it, stop it">
        <Block>{`export RENTAL=rnt_… TOKEN=…

curl ${origin}/api/rentals/$RENTAL -H "authorization: Bearer $TOKEN"

curl ${origin}/api/rentals/$RENTAL/exec -H "authorization: Bearer $TOKEN" \\
  -H 'content-type: application/json' -d '{"argv":["free","-m"]}'

curl -X POST ${origin}/api/rentals/$RENTAL/stop -H "authorization: Bearer $TOKEN"

curl ${origin}/api/rentals/$RENTAL/receipt -H "authorization: Bearer $TOKEN"`}</Block>
        <p>
          Open <Code>{`${origin}/rentals/rnt_…#token=…`}</Code> in a browser for a terminal into the same machine.
        </p>
      </Section>
      <Section title="What to know before">
        <ul className="list-disc space-y-1 pl-5 text-ink-2 marker:text-ink-3">
          <li>
            A provider can in principle read what runs on its own machine: memory, disk and traffic. Isolation protects the provider from
            you and you from other renters.
          </li>
          <li>The prepaid amount is the whole exposure. A forgotten machine ends by itself when the paid time is over.</li>
          <li>Pulling, starting and probing are free. Once running, billing is by the second, with a minimum of one minute.</li>
          <li>
            The market holds the prepaid amount in its escrow account until the rental settles; then provider, fee and refund are sent on
            chain, with a receipt.
          </li>
          <li>The access token is shown once. Whoever holds it holds the machine.</li>
        </ul>
      </Section>
      <p className="text-ink-2">
        Every error has a stable code:{' '}
        <Link href="/errors" className="underline decoration-line-strong underline-offset-2 hover:decoration-ink">
          error codes
        </Link>
        .
      </p>
    </article>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="min-w-0 space-y-2">
      <h2 className="font-semibold text-base">{title}</h2>
      {children}
    </section>
  )
}

function Code({ children }: { children: ReactNode }) {
  return <code className="break-words rounded-sm bg-raised px-1 py-px font-mono text-xs">{children}</code>
}

function Block({ children }: { children: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <pre tabIndex={0} className="overflow-x-auto rounded-lg border border-line bg-panel p-4 font-mono text-xs leading-5">
      {children}
    </pre>
  )
}
