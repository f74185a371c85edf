// One rental: everything on it is read in the browser, which alone has the access token.
import { RentalId } from '@flow402/protocol/id'
import { notFound } from 'next/navigation'
import { RentalPage } from '../../../components/rentals/rental-page.tsx'

export const metadata = { title: 'Rental' }

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  if (!RentalId.safeParse(id).success) notFound()
  return <RentalPage id={id} />
}
