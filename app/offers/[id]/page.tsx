// One offer.
import { OfferId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import { notFound } from 'next/navigation'
import { OfferPage } from '../../../components/offers/offer-page.tsx'
import { house } from '../../../lib/house.ts'

export const metadata = { title: 'Offer' }

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  if (!OfferId.safeParse(id).success) notFound()
  const offer = await house()
    .getOffer(id)
    .catch((error: unknown) => {
      // Next bundles its own copy of the protocol, so the class may differ while the code is the same.
      if (error instanceof Problem || (error instanceof Error && error.name === 'Problem')) {
        if ((error as Problem).code === 'offer_not_found') notFound()
      }
      throw error
    })
  return <OfferPage initial={offer} />
}
