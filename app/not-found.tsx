// What stands where nothing is.
import Link from 'next/link'
import { buttonClass } from '../components/ui/button.tsx'
import { Empty } from '../components/ui/notice.tsx'
import { Panel } from '../components/ui/panel.tsx'

export default function NotFound() {
  return (
    <Panel>
      <Empty
        isPage
        title="Nothing is here"
        action={
          <Link href="/" className={buttonClass()}>
            See the market
          </Link>
        }
      >
        The offer may have been withdrawn, or the address is not complete.
      </Empty>
    </Panel>
  )
}
