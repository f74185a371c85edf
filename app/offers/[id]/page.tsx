// One offer.
import { OfferId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { OfferPage } from '../../../components/offers/offer-page.tsx'
import { house } from '../../../lib/house.ts'

type Props = { params: Promise<{ id: string }> }

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const offer = await findOffer((await params).id)
  return { title: offer?.nodeName ?? 'Not found' }
}

export default async function Page({ params }: Props) {
  const offer = await findOffer((await params).id)
  if (!offer) notFound()
  return <OfferPage initial={offer} />
}

/** The offer, read once for title and page; null when there is none. */
const findOffer = cache(async (id: string) => {
  if (!OfferId.safeParse(id).success) return null
  return house()
    .getOffer(id)
    .catch((error: unknown) => {
      // Next bundles its own copy of the protocol, so the class may differ while the code is the same.
      if (error instanceof Problem || (error instanceof Error && error.name === 'Problem')) {
        if ((error as Problem).code === 'offer_not_found') return null
      }
      throw error
    })
})
