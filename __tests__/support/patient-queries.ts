// Before each test of a page's parts: what a query waits for gets as long as every other wait of the tests (vitest.config.ts).
const isPage = 'document' in globalThis
if (isPage) (await import('@testing-library/react')).configure({ asyncUtilTimeout: 40_000 })

export {}
