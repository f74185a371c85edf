// Next's configuration: pages only; the API and the sockets live beside it in the same process.
import type { NextConfig } from 'next'

const isDevelopment = process.env.NODE_ENV === 'development'

/**
 * What a page may load. Scripts are our own plus Next's inline bootstrap, and the WebAssembly that checks receipts. Connections go to this
 * origin, to any https RPC endpoint that a market names, and to loopback ports, where the local chain and its faucet listen.
 */
const contentSecurityPolicy = [
  "default-src 'self'",
  `script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'${isDevelopment ? " 'unsafe-eval'" : ''}`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self' https: ws: wss: http://127.0.0.1:* http://localhost:*",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

const securityHeaders = [
  { key: 'Content-Security-Policy', value: contentSecurityPolicy },
  { key: 'X-Content-Type-Options', value: 'nosniff' },
  { key: 'X-Frame-Options', value: 'DENY' },
  { key: 'Referrer-Policy', value: 'strict-origin-when-cross-origin' },
  { key: 'Permissions-Policy', value: 'camera=(), microphone=(), geolocation=()' },
]

const config: NextConfig = {
  distDir: process.env.FLOW402_NEXT_DIR ?? '.next',
  poweredByHeader: false,
  reactStrictMode: true,
  transpilePackages: ['@flow402/protocol', '@flow402/sdk', '@flow402/rust-lib'],
  // These run in the server process as they are; bundling them would only make second copies.
  serverExternalPackages: [
    'pg',
    'kysely',
    '@solana/kit',
    '@solana-program/compute-budget',
    '@solana-program/memo',
    '@solana-program/token',
    '@x402/core',
    '@x402/fetch',
    '@x402/svm',
  ],
  // Types are checked once, by `npm run check`. The own tsconfig keeps Next from rewriting the one at the root.
  typescript: { ignoreBuildErrors: true, tsconfigPath: 'app/tsconfig.json' },
  turbopack: { root: import.meta.dirname },
  headers: async () => [{ source: '/:path*', headers: securityHeaders }],
}

export default config
