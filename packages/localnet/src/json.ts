// JSON that keeps integers exact: Solana amounts are 64 bits wide, JavaScript numbers are not.

type ReviverContext = { source?: string }
const exactJson = JSON as unknown as {
  parse(text: string, reviver: (key: string, value: unknown, context: ReviverContext) => unknown): unknown
  rawJSON(text: string): unknown
}

/** Parses JSON; an integer beyond 2^53 becomes a bigint, every other number stays a number. Throws SyntaxError like JSON.parse. */
export function parseJson(text: string): unknown {
  return exactJson.parse(text, (_key, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && context.source !== undefined && /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value,
  )
}

/** Writes JSON; a bigint becomes a plain integer literal, as a validator writes it. */
export function writeJson(value: unknown): string {
  return JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? exactJson.rawJSON(item.toString()) : item))
}
