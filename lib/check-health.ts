// Health: whether every part that this installation promises is there, in words.
import type { Health } from '@flow402/protocol/network'
import type { Now } from './clock.ts'
import { type Db, pingDatabase } from './db/client.ts'
import type { Env } from './env.ts'
import { hasOnlineOffer } from './offers/list-offers.ts'
import type { PaymentRail } from './payments/payment-rail.ts'

const answerWithinMs = 4_000

/** Asks each part; a part that does not answer within 4 s counts as gone. */
export async function checkHealth(house: {
  env: Env
  version: string
  db: Db
  now: Now
  rail: Pick<PaymentRail, 'ping'>
}): Promise<Health> {
  const checks: Health['checks'] = {}
  await Promise.all([
    check(checks, 'database', async () => {
      await pingDatabase(house.db)
      return 'answers'
    }),
    check(checks, 'chain', async () => {
      await house.rail.ping()
      return 'answers'
    }),
    ...(house.env.expectLocalNode
      ? [
          check(checks, 'node', async () => {
            if (!(await hasOnlineOffer(house))) throw new Error('the local node is not online with a listed offer yet')
            return 'online with a listed offer'
          }),
        ]
      : []),
  ])
  const isReady = Object.values(checks).every((part) => part.ok)
  return { status: isReady ? 'ok' : 'not_ready', network: house.env.network, version: house.version, checks }
}

async function check(checks: Health['checks'], name: string, ask: () => Promise<string>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('does not answer')), answerWithinMs)
  })
  try {
    checks[name] = { ok: true, detail: await Promise.race([ask(), late]) }
  } catch (error) {
    checks[name] = { ok: false, detail: (error as Error).message.split('\n')[0] ?? 'failed' }
  } finally {
    clearTimeout(timer)
  }
}
