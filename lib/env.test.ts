// Settings that are not right stop the start and say which they are.
import { expect, test } from 'vitest'
import { readEnv } from './env.ts'

const secret = 'A'.repeat(43)
const right = {
  FLOW402_ENV: 'devnet',
  DATABASE_URL: 'postgres://127.0.0.1/flow402',
  SOLANA_RPC_URL: 'http://127.0.0.1:8899',
  FLOW402_SECRET: secret,
  ESCROW_SECRET_KEY: secret,
  FEE_PAYER_SECRET_KEY: secret,
  FEE_ADDRESS: '1'.repeat(32),
}

test.each([
  [undefined, ['local']],
  ['', ['local']],
  ['https://one.example', ['https://one.example']],
  [' https://one.example/x , local,https://two.example ', ['https://one.example/x', 'local', 'https://two.example']],
  ['local,local', ['local']],
])('facilitators %j are %j, in this order', (given, facilitators) => {
  expect(readEnv({ ...right, FACILITATOR_URL: given }).facilitators).toEqual(facilitators)
})

test.each(['own', 'https://one.example local', 'ftp://one.example', 'https://', 'local,one.example'])(
  'facilitators %j are refused',
  (given) => {
    expect(() => readEnv({ ...right, FACILITATOR_URL: given })).toThrow('FACILITATOR_URL')
  },
)
