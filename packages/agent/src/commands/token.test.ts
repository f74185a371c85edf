// token: what it prints is what the market asks of a provider, and nothing else.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '@flow402/protocol/id'
import { nodeTokenSecondsAtMost, nodeTokenType } from '@flow402/protocol/node'
import { importJWK, jwtVerify } from 'jose'
import { afterAll, expect, test } from 'vitest'
import { type Config, openHome } from '../home.ts'
import { nodeToken, tokenCommand } from './token.ts'

const folder = mkdtempSync(join(tmpdir(), 'flow402-token-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the token is signed by the machine’s key, for this market, and shorter-lived than the market allows', async () => {
  const home = openHome(join(folder, 'home'))
  const config = { nodeId: newId('node'), marketPublicKey: 'the-market' } as Config
  const nowMs = 1_800_000_000_000
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: home.identity.publicKey }, 'EdDSA')
  const { payload } = await jwtVerify(nodeToken(home, config, nowMs), key, {
    algorithms: ['EdDSA'],
    typ: nodeTokenType,
    audience: 'the-market',
    subject: config.nodeId,
    currentDate: new Date(nowMs),
  })
  expect((payload.exp ?? 0) - nowMs / 1000).toBeLessThan(nodeTokenSecondsAtMost)
})

test('a machine that is not enrolled has no token', async () => {
  expect(await tokenCommand({ home: join(folder, 'fresh') })).toBe(2)
})
