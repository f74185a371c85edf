// token: what the provider shows to the market's API, signed by the machine's key.
import { nodeTokenSecondsAtMost, nodeTokenType } from '@flow402/protocol/node'
import { type Config, type Home, openHome, readConfig } from '../home.ts'

/** A bearer token of this machine for its market: a compact JWS (EdDSA), good for a minute less than the market allows. */
export function nodeToken(home: Home, config: Config, nowMs: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(nowMs / 1000) + nodeTokenSecondsAtMost - 60
  const claims = { sub: config.nodeId, aud: config.marketPublicKey, exp }
  const signed = `${part({ alg: 'EdDSA', typ: nodeTokenType })}.${part(claims)}`
  return `${signed}.${home.identity.sign(Buffer.from(signed))}`
}

/** Prints a token. Answers the exit code: 2 before `setup`. */
export async function tokenCommand(options: { home?: string }): Promise<number> {
  const home = openHome(options.home)
  const config = readConfig(home)
  if (config) console.log(nodeToken(home, config, Date.now()))
  else console.error('this machine is not enrolled: run setup first')
  return config ? 0 : 2
}
