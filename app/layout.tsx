// The frame of every page: fonts, theme before first paint, banner, header, and the network that the market is paid on.
import { GeistMono } from 'geist/font/mono'
import { GeistSans } from 'geist/font/sans'
import type { Metadata, Viewport } from 'next'
import { connection } from 'next/server'
import type { ReactNode } from 'react'
import { MarketProvider } from '../components/layout/market-provider.tsx'
import { NetworkBanner } from '../components/layout/network-banner.tsx'
import { SiteFooter } from '../components/layout/site-footer.tsx'
import { SiteHeader } from '../components/layout/site-header.tsx'
import { themeScript } from '../components/layout/theme.ts'
import { house } from '../lib/house.ts'
import './globals.css'

export const metadata: Metadata = {
  title: { default: 'Flow402', template: '%s · Flow402' },
  description: 'Rent RAM and GPUs by the minute from other people’s machines, paid per request in USDC.',
}

export const viewport: Viewport = {
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#fcfcfb' },
    { media: '(prefers-color-scheme: dark)', color: '#0c0e10' },
  ],
}

export default async function RootLayout({ children }: { children: ReactNode }) {
  await connection()
  const network = house().network()
  return (
    <html lang="en" className={`${GeistSans.variable} ${GeistMono.variable}`} suppressHydrationWarning>
      <head>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: a constant of ours that must run before the first paint */}
        <script dangerouslySetInnerHTML={{ __html: themeScript }} />
      </head>
      <body className="flex min-h-dvh flex-col">
        <a
          href="#main"
          className="sr-only focus:not-sr-only focus:absolute focus:z-20 focus:m-2 focus:rounded-md focus:bg-solid focus:px-3 focus:py-1.5 focus:text-on-solid"
        >
          Skip to content
        </a>
        <MarketProvider network={network}>
          <NetworkBanner network={network} />
          <SiteHeader />
          <main id="main" className="mx-auto w-full max-w-6xl flex-1 px-4 pt-6 pb-16 sm:px-6">
            {children}
          </main>
          <SiteFooter network={network} />
        </MarketProvider>
      </body>
    </html>
  )
}
