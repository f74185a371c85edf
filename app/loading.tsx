// What stands on a page while the server reads.

export default function Loading() {
  return (
    <div role="status" aria-busy="true" className="space-y-4">
      <span className="sr-only">Loading</span>
      <div className="breathe h-6 w-56 rounded-sm bg-raised" />
      <div className="breathe h-80 rounded-lg border border-line bg-panel" />
    </div>
  )
}
