// The receipt: how the prepaid amount was divided, to the atom, the transactions that prove it, and its check in the browser.
'use client'
import type { NetworkView } from '@flow402/protocol/network'
import type { Receipt } from '@flow402/protocol/receipt'
import type { ReactNode } from 'react'
import { ReceiptVerification } from '../receipts/receipt-verification.tsx'
import { Copyable } from '../ui/copyable.tsx'
import { Usd } from '../ui/money.tsx'
import { Facts, Panel } from '../ui/panel.tsx'

const transferWords: Record<Receipt['transfers'][number]['kind'], string> = {
  charge: 'You paid the market’s escrow',
  payout: 'Escrow paid the provider',
  fee: 'Escrow paid the market’s fee',
  refund: 'Escrow refunded you',
}

/** Shown once the rental is settled; `verification` replaces the check of it in tests. */
export function ReceiptView({
  receipt,
  network,
  verification = <ReceiptVerification receipt={receipt} />,
}: {
  receipt: Receipt
  network: NetworkView
  verification?: ReactNode
}) {
  return (
    <>
      <Division receipt={receipt} network={network} />
      {verification}
    </>
  )
}

function Division({ receipt, network }: { receipt: Receipt; network: NetworkView }) {
  const sum = BigInt(receipt.payoutAtoms) + BigInt(receipt.feeAtoms) + BigInt(receipt.refundAtoms)
  const isBalanced = sum === BigInt(receipt.prepaidAtoms)
  return (
    <Panel title="Receipt" aside={<DownloadLink receipt={receipt} />} testId="receipt">
      <div className="grid gap-x-10 gap-y-4 md:grid-cols-2">
        <Facts
          rows={[
            { name: 'Prepaid', value: <Usd atoms={receipt.prepaidAtoms} minDecimals={6} testId="receipt-prepaid" /> },
            { name: 'To the provider', value: <Usd atoms={receipt.payoutAtoms} minDecimals={6} testId="receipt-payout" /> },
            {
              name: `Market fee, ${receipt.terms.feeBps / 100} % of the charge`,
              value: <Usd atoms={receipt.feeAtoms} minDecimals={6} testId="receipt-fee" />,
            },
            { name: 'Back to you', value: <Usd atoms={receipt.refundAtoms} minDecimals={6} testId="receipt-refund" />, strong: true },
          ]}
        />
        <Facts
          rows={[
            {
              name: 'Metered',
              value: `${receipt.usage.meteredSeconds} s in ${receipt.usage.records} signed ${receipt.usage.records === 1 ? 'record' : 'records'}`,
            },
            { name: 'Billed', value: `${receipt.usage.billedSeconds} s` },
            {
              name: 'Usage chain head',
              value: receipt.usage.head ? <Copyable text={receipt.usage.head} label="usage chain head" /> : 'none',
            },
            ...(receipt.version === 2 ? [{ name: 'Merkle root', value: <Copyable text={receipt.usage.root} label="Merkle root" /> }] : []),
            { name: 'Receipt digest', value: <Copyable text={receipt.digest} label="receipt digest" /> },
          ]}
        />
      </div>
      <p className={`mt-2 rounded-md px-3 py-1.5 text-xs ${isBalanced ? 'bg-ok-soft text-ok' : 'bg-bad-soft text-bad'}`}>
        {isBalanced
          ? 'Provider + fee + refund = prepaid, to the atom.'
          : 'These amounts do not add up to the prepaid amount. Keep this receipt and report it.'}
      </p>
      <h3 className="mt-4 mb-1 font-medium text-sm">Transactions</h3>
      <ul className="divide-y divide-line border-line border-y text-sm">
        {receipt.transfers.map((transfer) => (
          <li
            key={`${transfer.kind}-${transfer.paymentId ?? transfer.to}`}
            className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 py-1.5 sm:grid-cols-[minmax(0,1fr)_auto_10.5rem]"
          >
            <span>{transferWords[transfer.kind]}</span>
            <Usd atoms={transfer.amountAtoms} minDecimals={6} />
            <span className="max-sm:col-span-2 sm:text-right">
              {transfer.transaction === null ? (
                <span className="text-ink-2">Owed, by the provider’s schedule</span>
              ) : (
                <Copyable
                  text={transfer.transaction}
                  label={`${transfer.kind} transaction`}
                  head={8}
                  tail={6}
                  {...(network.explorerUrl && { href: `${network.explorerUrl.replace(/\/+$/, '')}/tx/${transfer.transaction}` })}
                />
              )}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}

/** The receipt as it came, statement and anchor included. A blob and not a data: address, which browsers cut off at some megabytes. */
function DownloadLink({ receipt }: { receipt: Receipt }) {
  const download = () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: 'application/json' }))
    const link = document.createElement('a')
    link.href = address
    link.download = `${receipt.rentalId}.receipt.json`
    link.click()
    setTimeout(() => URL.revokeObjectURL(address), 60_000)
  }
  return (
    <button
      type="button"
      className="underline decoration-line-strong underline-offset-2 hover:text-ink hover:decoration-ink"
      onClick={download}
      data-testid="download-receipt"
    >
      Download as JSON
    </button>
  )
}
