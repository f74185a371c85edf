// Carries out what POST /fault asks for: faults of calls, of this node, and of the chain itself.
import { type Address, isAddress } from '@solana/kit'
import type { ChainView } from './chain-view.ts'
import { freezeUsdc, giveSol } from './faucet.ts'
import { FaultRequestError, type Faults } from './faults.ts'

type Body = Readonly<Record<string, unknown>>

/**
 * Does what a body asks; the README lists the bodies. `lagSlots` and the faults of calls hold for the port that was asked, all others
 * for the chain. Returns what is to be answered, if anything. Throws FaultRequestError or FaultImpossibleError.
 */
export async function causeFault(view: ChainView, faults: Faults, body: unknown): Promise<Body | undefined> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new FaultRequestError('the body must be a JSON object')
  const named = Object.keys(body).flatMap((name) => (name in causes ? [name as keyof typeof causes] : []))
  const [name] = named
  if (name === undefined) {
    faults.plan(body as Body)
    return undefined
  }
  const cause = causes[name]
  const other = Object.keys(body).find((member) => member !== name && !cause.also.includes(member))
  if (other !== undefined) throw new FaultRequestError(`${other} does not go with ${name}`)
  return cause.does(view, body as Body)
}

interface Cause {
  /** Members that the body may have besides the one that names the fault. */
  also: readonly string[]
  does: (view: ChainView, body: Body) => Body | undefined | Promise<Body>
}

const causes: Readonly<Record<'fork' | 'finalityStalls' | 'lagSlots' | 'freeze' | 'thaw' | 'drainSol' | 'giveSol', Cause>> = {
  fork: {
    also: ['forever', 'alone'],
    does: ({ chain }, { fork, forever = false, alone = false }) => {
      if (typeof fork !== 'string') throw new FaultRequestError('fork must be a signature')
      return { ...chain.fork(fork, { isForever: isTrue('forever', forever), isAlone: isTrue('alone', alone) }) }
    },
  },
  finalityStalls: {
    also: [],
    does: ({ chain }, { finalityStalls }) => {
      chain.stallFinality(isTrue('finalityStalls', finalityStalls))
      return undefined
    },
  },
  lagSlots: {
    also: [],
    does: (view, { lagSlots }) => {
      view.lagSlots = Number(integer('lagSlots', lagSlots))
      return undefined
    },
  },
  freeze: {
    also: [],
    does: async ({ chain }, { freeze }) => ({ signature: await freezeUsdc(chain, addressOf('freeze', freeze), true) }),
  },
  thaw: {
    also: [],
    does: async ({ chain }, { thaw }) => ({ signature: await freezeUsdc(chain, addressOf('thaw', thaw), false) }),
  },
  drainSol: {
    also: [],
    does: ({ chain }, { drainSol }) => {
      chain.drain(addressOf('drainSol', drainSol))
      return undefined
    },
  },
  giveSol: {
    also: ['lamports'],
    does: async ({ chain }, body) => ({
      signature: await giveSol(chain, addressOf('giveSol', body.giveSol), integer('lamports', body.lamports)),
    }),
  },
}

function isTrue(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new FaultRequestError(`${name} must be true or false`)
  return value
}

// Amounts may be written as decimal strings, as the faucet takes them.
function integer(name: string, value: unknown): bigint {
  const isWhole = typeof value === 'string' ? /^\d{1,20}$/.test(value) : typeof value === 'bigint' || Number.isSafeInteger(value)
  const whole = isWhole ? BigInt(value as string | number | bigint) : -1n
  if (whole < 0n || whole > 10n ** 18n) throw new FaultRequestError(`${name} must be a whole number`)
  return whole
}

function addressOf(name: string, value: unknown): Address {
  if (typeof value !== 'string' || !isAddress(value)) throw new FaultRequestError(`${name} must be a base58 Solana address`)
  return value
}
