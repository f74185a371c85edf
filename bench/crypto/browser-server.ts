// Serves a page on loopback that runs this repository's TypeScript as it is, file by file, without its types. Part of bench:crypto.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { pathOfModule } from './peers-node.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Where the packages lie that the page imports by name. */
const packages: Record<string, string> = {
  '/modules/@noble/hashes/': dirname(pathOfModule('@noble/hashes/sha2.js')),
  '/modules/@noble/curves/': dirname(pathOfModule('@noble/curves/ed25519.js')),
  '/modules/hash-wasm/': dirname(fileURLToPath(import.meta.resolve('hash-wasm'))),
}
const imports = {
  '@noble/hashes/': '/modules/@noble/hashes/',
  '@noble/curves/': '/modules/@noble/curves/',
  '#platform': '/rust-lib/js/platform-browser.ts',
  'hash-wasm': '/modules/hash-wasm/index.esm.js',
}
const page = `<!doctype html><title>bench:crypto</title><script type="importmap">${JSON.stringify({ imports })}</script>`

/** `files` are served under their names, as bytes. The page is isolated, so that its clock is as fine as a browser's can be. */
export async function servePage(files: Record<string, string>): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const answer = answerTo(path, files)
    response.writeHead(answer ? 200 : 404, {
      'content-type': answer?.type ?? 'text/plain',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    response.end(answer?.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

function answerTo(path: string, files: Record<string, string>): { type: string; body: string | Buffer } | undefined {
  if (path === '/') return { type: 'text/html', body: page }
  const file = files[path]
  if (file) return { type: 'application/octet-stream', body: readFileSync(file) }
  if (/^\/(bench|bench\/crypto|rust-lib\/js)\/[a-z0-9-]+\.ts$/.test(path))
    return { type: 'text/javascript', body: withoutTypes(join(root, path)) }
  const folder = Object.keys(packages).find((each) => path.startsWith(each))
  const name = folder && path.slice(folder.length)
  if (!folder || !name || !/^[\w/-]+(\.[\w-]+)*\.js$/.test(name)) return undefined
  return { type: 'text/javascript', body: readFileSync(join(packages[folder] ?? '', name)) }
}

function withoutTypes(file: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2024, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  return ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions }).outputText
}
