// The client: one typed method per endpoint of the market, made from the same table as the server's routes.
import { type Endpoint, type EndpointName, endpoints } from '@flow402/protocol/endpoints'
import { Receipt } from '@flow402/protocol/receipt'
import { errorFromResponse, MarketError } from './market-error.ts'

type Table = typeof endpoints
type Schema = { _zod: { input: unknown; output: unknown } }
type Part<E, K extends string> = E extends Record<K, infer S extends Schema> ? { [P in K]: S['_zod']['input'] } : unknown
type QueryPart<E> = E extends { query: infer S extends Schema } ? { query?: S['_zod']['input'] } : unknown
type AnswerOf<S> = S extends 'text' | { lines: Schema }
  ? string
  : S extends 'bytes'
    ? Uint8Array
    : S extends Schema
      ? S['_zod']['output']
      : never
type Answers<E> = E extends { answers: infer A } ? A[keyof A] : never

/**
 * What every call may carry: the bearer token (overrides the client's), a key of the caller's making under which a POST is done once
 * however often it is sent, more headers, and a way to give up.
 */
export type CallOptions = { accessToken?: string; idempotencyKey?: string; headers?: Record<string, string>; signal?: AbortSignal }

/** Arguments of one endpoint: its path parameters, query and body, before parsing. */
export type CallInput<N extends EndpointName> = CallOptions & Part<Table[N], 'params'> & QueryPart<Table[N]> & Part<Table[N], 'body'>

/** What one endpoint answers when it succeeds, parsed; several statuses give a union. */
export type Answer<N extends EndpointName> = AnswerOf<Answers<Table[N]>>

type Method<N extends EndpointName> = unknown extends Part<Table[N], 'params'> & Part<Table[N], 'body'>
  ? (input?: CallInput<N>) => Promise<Answer<N>>
  : (input: CallInput<N>) => Promise<Answer<N>>

/** The methods named as in the endpoint table, and the two halves of a call for those who must see the raw answer. */
export type MarketClient = { readonly [N in EndpointName]: Method<N> } & {
  /** Origin of the market, without a slash at the end. */
  readonly baseUrl: string
  /** Sends a request and gives the raw answer, whatever its status; throws MarketError `unreachable` only. */
  send<N extends EndpointName>(name: N, input: CallInput<N>): Promise<Response>
  /** Parses the answer of `send`; throws MarketError when it is not one of the endpoint's successes. */
  read<N extends EndpointName>(name: N, response: Response): Promise<Answer<N>>
  /** What the workload writes, piece by piece, from the last `tail` lines on, until it ends or `signal` aborts. */
  followLogs(input: CallOptions & { params: { id: string }; tail?: number }): AsyncGenerator<string, void, undefined>
  /** The receipts of a machine, one by one as they arrive, so that a whole month needs the memory of one. Throws when the answer breaks off. */
  eachReceipt(input: CallInput<'nodeReceipts'>): AsyncGenerator<Receipt, void, undefined>
}

/** `fetch` may be replaced, e.g. by a paying fetch; `accessToken` is the default bearer token. */
export type MarketClientOptions = { baseUrl: string; fetch?: typeof fetch; accessToken?: string }

/** Makes the client of one market. Nothing is sent until a method is called. */
export function marketClient(options: MarketClientOptions): MarketClient {
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  const send = async (name: EndpointName, input: LooseInput = {}): Promise<Response> => {
    const { url, init } = requestOf(baseUrl, name, { ...(options.accessToken && { accessToken: options.accessToken }), ...input })
    try {
      return await (options.fetch ?? fetch)(url, init)
    } catch (cause) {
      if (input.signal?.aborted) throw cause
      throw new MarketError('unreachable', 0, `The market at ${baseUrl} does not answer`, {}, cause)
    }
  }
  const methods = Object.fromEntries(
    (Object.keys(endpoints) as EndpointName[]).map((name) => [name, async (input?: LooseInput) => answerOf(name, await send(name, input))]),
  )
  const followLogs = async function* (input: CallOptions & { params: { id: string }; tail?: number }) {
    const { tail, ...rest } = input
    const response = await send('rentalLogs', { ...rest, query: { follow: '1', ...(tail !== undefined && { tail }) } })
    if (response.status !== 200) throw await errorFromResponse(response)
    yield* textPieces(response, input.signal)
  }
  const eachReceipt = async function* (input: CallInput<'nodeReceipts'>) {
    const response = await send('nodeReceipts', input as LooseInput)
    if (response.status !== 200) throw await errorFromResponse(response)
    let unfinished = ''
    for await (const piece of textPieces(response, input.signal)) {
      const lines = `${unfinished}${piece}`.split('\n')
      unfinished = lines.pop() ?? ''
      for (const line of lines) yield parsedBy(Receipt, 'nodeReceipts', 200, JSON.parse(line)) as Receipt
    }
    if (unfinished !== '') throw new MarketError('unreachable', 0, 'The list of receipts broke off')
  }
  return { ...methods, baseUrl, send, read: answerOf, followLogs, eachReceipt } as unknown as MarketClient
}

type LooseInput = CallOptions & { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown }

/** The URL and fetch options of one call; path parameters are escaped, absent query members left out. */
export function requestOf(baseUrl: string, name: EndpointName, input: LooseInput): { url: string; init: RequestInit & { method: string } } {
  const endpoint: Endpoint = endpoints[name]
  const path = endpoint.path.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(input.params?.[key])))
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(input.query ?? {})) if (value !== undefined) query.set(key, String(value))
  const headers: Record<string, string> = { accept: 'application/json', ...input.headers }
  if (input.idempotencyKey !== undefined) headers['idempotency-key'] = input.idempotencyKey
  if (input.accessToken) headers.authorization = `Bearer ${input.accessToken}`
  if (input.body !== undefined) headers['content-type'] = 'application/json'
  return {
    url: `${baseUrl}${path}${query.size > 0 ? `?${query}` : ''}`,
    init: {
      method: endpoint.method.toUpperCase(),
      headers,
      ...(input.body !== undefined && { body: JSON.stringify(input.body) }),
      ...(input.signal && { signal: input.signal }),
    },
  }
}

/** Parses one answer by the endpoint's schema for its status. */
async function answerOf(name: EndpointName, response: Response): Promise<unknown> {
  const schema = (endpoints[name] as Endpoint).answers[response.status as 200 | 201 | 202]
  if (!schema) throw await errorFromResponse(response)
  if (schema === 'bytes') return new Uint8Array(await response.arrayBuffer())
  if (schema === 'text' || 'lines' in schema) return response.text()
  return parsedBy(schema, name, response.status, await response.json().catch(() => undefined))
}

/** As much of a schema as reading an answer needs. */
type Parsing = { safeParse(value: unknown): { success: true; data: unknown } | { success: false; error: { issues: unknown[] } } }

function parsedBy(schema: Parsing, name: EndpointName, status: number, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  throw new MarketError('unexpected_answer', status, `${name} answered in a form this client does not know`, { issues })
}

/** Decodes a streaming body as UTF-8; stops without an error when the caller aborts. */
async function* textPieces(response: Response, signal: AbortSignal | undefined): AsyncGenerator<string, void, undefined> {
  if (!response.body) return
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      const text = decoder.decode(value, { stream: !done })
      if (text) yield text
      if (done) return
    }
  } catch (cause) {
    if (signal?.aborted) return
    throw new MarketError('unreachable', 0, 'The stream broke off', {}, cause)
  } finally {
    await reader.cancel().catch(() => {})
  }
}
