// What stands on a page when reading failed on the server.
'use client'
import { Button } from '../components/ui/button.tsx'
import { Empty } from '../components/ui/notice.tsx'
import { Panel } from '../components/ui/panel.tsx'

export default function PageError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  return (
    <Panel>
      <Empty isPage title="This page could not be put together" action={<Button onClick={reset}>Try again</Button>}>
        The market may be starting, or its database does not answer.{error.digest ? ` Reference: ${error.digest}` : ''}
      </Empty>
    </Panel>
  )
}
