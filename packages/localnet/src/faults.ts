// Faults that tests ask for: answers that get lost, come late, or are refused, for the next so many calls of a method.

/** The body of POST /fault is wrong; the message says what. */
export class FaultRequestError extends Error {
  override readonly name = 'FaultRequestError'
}

/** The fault is well asked for, but the chain cannot do that: 404 when what it names is not there, else 409. */
export class FaultImpossibleError extends Error {
  override readonly name = 'FaultImpossibleError'
  readonly status: 404 | 409

  constructor(status: 404 | 409, message: string) {
    super(message)
    this.status = status
  }
}

/** What is to go wrong with one call. */
export interface Fault {
  /** Do not run it; answer 503. */
  isRefused: boolean
  /** Run it, then cut the connection instead of answering. */
  isDropped: boolean
  /** Run it, then wait this long before answering. */
  delayMs: number
}

interface Plan {
  refuse: number
  dropResponses: number
  delayMs: number
  delays: number
}

const anyMethod = '*'

/** The faults still to come on one port. */
export class Faults {
  private readonly plans = new Map<string, Plan>()

  /**
   * Plans faults from `{ method?, refuse?, dropResponses?, delayMs?, delays? }`, replacing what the method had planned: counts are
   * calls, `delays` (1) is for how many calls `delayMs` holds, no method means every method. `{}` for a method clears it.
   */
  plan(body: Readonly<Record<string, unknown>>): void {
    const { method = anyMethod, refuse = 0, dropResponses = 0, delayMs = 0, delays = 1, ...others } = body
    const [other] = Object.keys(others)
    if (other !== undefined) throw new FaultRequestError(`${other} is no fault`)
    if (typeof method !== 'string') throw new FaultRequestError('method must be a string')
    const plan = { refuse, dropResponses, delayMs, delays: delayMs === 0 ? 0 : delays }
    for (const [name, value] of Object.entries(plan)) {
      if (!Number.isSafeInteger(value) || (value as number) < 0) throw new FaultRequestError(`${name} must be a whole number`)
    }
    this.plans.set(method, plan as Plan)
  }

  /** Uses up the faults of one call. */
  take(method: string): Fault {
    const fault: Fault = { isRefused: false, isDropped: false, delayMs: 0 }
    for (const plan of [this.plans.get(method), this.plans.get(anyMethod)]) {
      if (!plan) continue
      if (plan.refuse > 0) {
        plan.refuse -= 1
        fault.isRefused = true
        return fault
      }
      if (plan.dropResponses > 0) {
        plan.dropResponses -= 1
        fault.isDropped = true
      }
      if (plan.delays > 0) {
        plan.delays -= 1
        fault.delayMs = Math.max(fault.delayMs, plan.delayMs)
      }
    }
    return fault
  }
}
