// The same in Chromium: Merkle root, signatures, and verifyStatement, with what a browser offers beside. Part of bench:crypto.
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import type { SignedMessage } from '../../rust-lib/js/engine.ts'
import { median } from '../measure.ts'
import { servePage } from './browser-server.ts'
import { peakMbOf } from './memory.ts'
import { referenceRoot } from './peers-node.ts'
import { madeLeaves } from './root-ways.ts'
import type { Taken } from './rounds.ts'
import { batchSize, madeSignatures, withOneWrong } from './signatures.ts'
import type { MadeStatements } from './statement-files.ts'
import { brief, duration, durationOf, named, type Plan, perSecond, type Section, table, timesAsFast } from './table.ts'

const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Measures in a browser; CHROME_PATH names another than the Chromium of Debian. */
export async function measureBrowser(plan: Plan, made: MadeStatements): Promise<Section> {
  const server = await servePage({ '/small': made.small.file, '/month': made.month.file, '/long': made.long.file })
  try {
    const browser = await chromium.launch({ executablePath: process.env.CHROME_PATH ?? '/usr/bin/chromium', headless: true, args })
    try {
      return await measureIn(browser, server.url, plan, made)
    } finally {
      await browser.close()
    }
  } finally {
    await server.close()
  }
}

async function measureIn(browser: Browser, url: string, { isQuick, turns }: Plan, made: MadeStatements): Promise<Section> {
  const page = await openPage(browser, url)
  const engine = await call<string>(page, 'engineName')
  const count = isQuick ? 100_000 : 1_000_000
  const lines: string[] = []

  for (const leafBytes of [118, 128]) {
    const root = [...referenceRoot(madeLeaves(count, leafBytes), leafBytes)]
    const taken = await call<Taken[]>(page, 'merkle', { count, leafBytes, root, turns })
    const rows = taken.map((each) => [each.name, durationOf(each, count), brief(timesAsFast(named(taken, 'wasm'), each))])
    lines.push(
      '',
      `Merkle root of ${count.toLocaleString('en-US')} leaves of ${leafBytes} bytes`,
      '',
      ...table(['way', 'time', times], rows),
    )
  }

  for (const keys of [batchSize, 1]) {
    const good = madeSignatures(batchSize, keys)
    const wrong = 85
    const words = { good: numbersOf(good), oneWrong: numbersOf(withOneWrong(good, wrong)), wrong, turns }
    const taken = await call<Taken[]>(page, 'signatures', words)
    const rows = taken.map((each) => [each.name, brief(perSecond(each)), brief(timesAsFast(named(taken, 'wasm'), each))])
    const title = `Ed25519, ${batchSize} signatures, ${keys === 1 ? 'one key' : 'distinct keys'}`
    lines.push('', title, '', ...table(['way', 'per second', times], rows))
  }

  const checks = { small: '/small', smallRecords: made.small.records }
  const month = await call<Taken[]>(page, 'statement', { ...checks, month: '/month', turns })
  const monthSeconds = median(named(month, 'wasm').seconds)
  const records = made.month.records.toLocaleString('en-US')
  const rows = month.map((each) => [each.name, records, durationOf(each), brief(timesAsFast(named(month, 'wasm'), each)), '-'])
  await page.context().close()
  const long = await measureLong(browser, url, checks, Math.min(3, turns.rounds))
  rows.push(['wasm', made.long.records.toLocaleString('en-US'), duration(long.seconds), '-', `${brief(long.peakMb)}`])
  lines.push('', 'verifyStatement', '', ...table(['engine', 'records', 'time', times, 'peak memory of the page, MB'], rows))
  return {
    title: `In Chromium ${browser.version()} (engine: ${engine})`,
    lines,
    aims: [
      {
        what: `verifyStatement of ${records} records in Chromium`,
        measured: monthSeconds * 1000,
        most: 100,
      },
    ],
  }
}

const times = 'wasm is so many times as fast'

/** The long statement, each time in a page of its own. `peakMb` is all that the page's process held, the statement and V8 included. */
async function measureLong(browser: Browser, url: string, checks: object, rounds: number): Promise<{ seconds: number; peakMb: number }> {
  const runs: { seconds: number; peakMb: number }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const page = await openPage(browser, url)
    await call(page, 'openLong', { ...checks, long: '/long' })
    const seconds = await call<number>(page, 'checkLong')
    const pids = await rendererPids(browser)
    runs.push({ seconds, peakMb: Math.max(...pids.map(peakMbOf)) })
    await page.context().close()
  }
  return { seconds: median(runs.map((run) => run.seconds)), peakMb: Math.max(...runs.map((run) => run.peakMb)) }
}

async function openPage(browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await page.goto(url)
  return page
}

/** Calls a function of browser-page.ts in the page. */
function call<Answer>(page: Page, name: string, words?: object): Promise<Answer> {
  return page.evaluate(async ([name, words]) => (await import('/bench/crypto/browser-page.ts' as string))[name](words), [
    name,
    words,
  ] as const) as Promise<Answer>
}

/** The processes that run pages, as Chromium itself names them. */
async function rendererPids(browser: Browser): Promise<number[]> {
  const session = await browser.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
}

function numbersOf(signed: readonly SignedMessage[]): number[][][] {
  return signed.map(({ publicKey, message, signature }) => [[...publicKey], [...message], [...signature]])
}
