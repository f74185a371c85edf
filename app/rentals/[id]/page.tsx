// One rental: everything on it is read in the browser, which alone has the access token.
import { RentalId } from '@flow402/protocol/id'
import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { RentalPage } from '../../../components/rentals/rental-page.tsx'

type Props = { params: Promise<{ id: string }> }

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: RentalId.safeParse((await params).id).success ? 'Rental' : 'Not found' }
}

export default async function Page({ params }: Props) {
  const { id } = await params
  if (!RentalId.safeParse(id).success) notFound()
  return <RentalPage id={id} />
}
