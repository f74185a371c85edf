// The API's manners: every wrong request to every endpoint is told what is wrong as problem+json, and nothing is our fault.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { type Endpoint, endpoints } from '@flow402/protocol/endpoints'
import { ProblemBody, problems } from '@flow402/protocol/problem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'

let market: TestHouse
let rentalId: string
const adminToken = randomBytes(32).toString('base64url')
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, settings: () => ({ ADMIN_TOKEN: adminToken }) })
  rentalId = (await market.rent()).rental.id
  await market.until(rentalId, 'running')
})
afterAll(() => market.close())

const all = Object.entries(endpoints) as [string, Endpoint][]
const withBody = all.filter(([, endpoint]) => endpoint.body)
const goodBodies: Record<string, () => Record<string, unknown>> = {
  requestRental: () => market.request(),
  extendRental: () => ({ minutes: 1 }),
  execRental: () => ({ argv: ['true'] }),
  quotePayment: () => market.request(),
  authorizePayment: () => ({ request: market.request(), payment: 'x' }),
  completePayment: () => ({ request: market.request(), payment: 'x' }),
  settlePayment: () => ({ rentalId }),
  choosePayouts: () => ({ minAtoms: '0', intervalSeconds: 60 }),
  openDispute: () => ({ reason: 'it was not what was offered' }),
  decideDispute: () => ({ refundBps: 5_000, note: 'half of it' }),
  enrolNode: () => ({
    token: 'x'.repeat(40),
    publicKey: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x,
    name: 'n',
    region: 'eu',
    payoutAddress: market.renter.address,
    offer: {
      kind: 'ram',
      unitsTotal: 1,
      perUnit: { ramMb: 64, cpuMillis: 100, diskMb: 64 },
      priceAtomsPerHour: '1000',
      minMinutes: 1,
      maxMinutes: 10,
    },
  }),
}
const disputeId = `dsp_${'0'.repeat(32)}`
/** The thing that a path names, and what is said when it is not there. */
const nounOf = (endpoint: Endpoint) => {
  if (endpoint.path.startsWith('/api/offers')) return { id: market.machine.offerId, missing: 'offer_not_found' } as const
  if (endpoint.path.startsWith('/api/nodes')) return { id: market.machine.nodeId, missing: 'node_not_found' } as const
  if (endpoint.path.includes('/disputes/{id}')) return { id: disputeId, missing: 'dispute_not_found' } as const
  return { id: rentalId, missing: 'rental_not_found' } as const
}
const pathOf = (endpoint: Endpoint) => endpoint.path.replace('{id}', nounOf(endpoint).id)
const bodyOf = (name: string) => (goodBodies[name] as () => Record<string, unknown>)()
const headersOf = ({ access }: Endpoint): Record<string, string> => {
  if (access === 'public') return {}
  if (access === 'admin') return { authorization: `Bearer ${adminToken}` }
  return access === 'node' ? providerBearer(market, market.machine) : market.bearer(rentalId)
}
const ask = (endpoint: Endpoint, body: unknown, headers: Record<string, string> = {}) =>
  market.ask(endpoint.method.toUpperCase(), pathOf(endpoint), body, { ...headersOf(endpoint), ...headers })

function expectProblem(answer: Answered, status: number, code: keyof typeof problems): void {
  expect(answer.status, answer.text).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(ProblemBody.parse(answer.body)).toMatchObject({ status, code, title: problems[code].title, type: `/errors#${code}` })
  expect(answer.text).not.toMatch(/\bat .*\.(ts|js):\d+|node_modules|select |insert /)
}

test.each(withBody)('%s: unknown fields, wrong types and wrong values are 422', async (name, endpoint) => {
  const good = bodyOf(name)
  const [field] = Object.keys(good)
  const wrong: unknown[] = [{ ...good, surprise: 1 }, [], 'text', 1, null, true, {}]
  for (const value of [null, [], {}, '', 1e308, -1, 0.5, 'x\u0000y', { toString: 1 }]) wrong.push({ ...good, [field as string]: value })
  for (const body of wrong)
    expectProblem(await ask(endpoint, JSON.stringify(body), { 'content-type': 'application/json' }), 422, 'invalid_request')
})

test.each(withBody)('%s: __proto__, constructor and prototype are unknown fields like any other', async (name, endpoint) => {
  for (const key of ['__proto__', 'constructor', 'prototype']) {
    const body = JSON.stringify(bodyOf(name)).replace('{', `{"${key}":{"isAdmin":true},`)
    const answer = await ask(endpoint, body, { 'content-type': 'application/json' })
    expect(answer.status, `${key}: ${answer.text}`).toBe(422)
  }
  expect(({} as Record<string, unknown>).isAdmin).toBeUndefined()
})

test.each(withBody)('%s: numbers beyond all bounds are 422, never 500', async (name, endpoint) => {
  const good = bodyOf(name)
  for (const [field, value] of Object.entries(good)) {
    if (typeof value !== 'number') continue
    for (const huge of ['1e400', '-1e400', '9007199254740993', '2147483648', '99999999999999999999', '1.5'])
      expectProblem(
        await ask(endpoint, JSON.stringify(good).replace(`"${field}":${value}`, `"${field}":${huge}`), {
          'content-type': 'application/json',
        }),
        422,
        'invalid_request',
      )
  }
})

test.each(withBody)('%s: what is not JSON is 400, another content type 415', async (_, endpoint) => {
  const json = { 'content-type': 'application/json' }
  for (const text of ['', '{', 'NaN', '{"a":1,}', '\ufeff{}x', '[[['.repeat(5_000)])
    expectProblem(await ask(endpoint, text, json), 400, 'invalid_json')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml', ''])
    expectProblem(await ask(endpoint, '{}', { 'content-type': type }), 415, 'unsupported_media_type')
})

test.each(withBody)('%s: more than 64 KiB is 413, also in chunks and with a payment', async (_, endpoint) => {
  const body = `{"pad":"${'x'.repeat(65 * 1024)}"}`
  const json = { 'content-type': 'application/json', ...headersOf(endpoint) }
  for (const headers of [json, { ...json, 'payment-signature': 'x' }, { ...json, 'content-length': String(body.length) }])
    expectProblem(await market.ask('POST', pathOf(endpoint), body, headers), 413, 'too_large')
  const chunks = new ReadableStream({
    start(controller) {
      for (let index = 0; index < 70; index++) controller.enqueue(new TextEncoder().encode('x'.repeat(1024)))
      controller.close()
    },
  })
  const request = new Request(`http://market.test${pathOf(endpoint)}`, {
    method: 'POST',
    headers: json,
    body: chunks,
    duplex: 'half',
  } as RequestInit)
  expect((await market.api.request(request)).status).toBe(413)
})

test.each(withBody)('%s: what is nested without end is 422, also where anything may stand', async (name, endpoint) => {
  const deep = `${'['.repeat(25_000)}${']'.repeat(25_000)}`
  const { payment: _, ...good } = bodyOf(name)
  const bodies = [deep, JSON.stringify(good).replace('{', `{"payment":{"x":${deep}},`)]
  for (const body of bodies) expectProblem(await ask(endpoint, body, { 'content-type': 'application/json' }), 422, 'invalid_request')
})

test('text that no database holds is refused at the door, not when it was paid for', async () => {
  const wrong = [
    { env: { A: '\ud800' } },
    { command: ['\udc00'] },
    { sshPublicKey: 'ssh-ed25519 AAAA \u0000' },
    { sshPublicKey: 'ssh-ed25519 AAAA \ud800' },
    { env: { A: '\u0000' } },
  ]
  for (const change of wrong)
    expectProblem(await market.ask('POST', '/api/rentals', { ...market.request(), ...change }), 422, 'invalid_request')
  for (const name of ['a\u0000b', 'a\ud800b'])
    expectProblem(await market.ask('POST', '/api/nodes/enrol', { ...bodyOf('enrolNode'), name }), 422, 'invalid_request')
  for (const query of [
    'region=%00',
    'region=eu%00',
    'cursor=%00',
    'cursor=AAAA',
    'limit=x',
    'limit=1e9',
    'kind=cpu',
    'more=1',
    '__proto__=1',
  ])
    expectProblem(await market.ask('GET', `/api/offers?${query}`), 422, 'invalid_request')
  const stdin = await market.ask('POST', `/api/rentals/${rentalId}/exec`, { argv: ['cat'], stdin: '\u0000' }, market.bearer(rentalId))
  expect(stdin.status).toBe(200)
})

test('a payout address that is no address is refused when the machine enrols, not when its rentals settle', async () => {
  for (const payoutAddress of ['1'.repeat(44), '2'.repeat(32), 'z'.repeat(44)])
    expectProblem(await market.ask('POST', '/api/nodes/enrol', { ...bodyOf('enrolNode'), payoutAddress }), 422, 'invalid_request')
})

const garbage = [
  'x',
  '1',
  'rnt_',
  'rnt_XYZ',
  `pay_${'0'.repeat(32)}`,
  '%00',
  '%ff',
  '..%2f..',
  "';drop table rental",
  'a'.repeat(3000),
  '__proto__',
]

test('an id that cannot exist is answered like one that does not: 404', async () => {
  for (const id of garbage) {
    const path = encodeURI(id).replaceAll('%25', '%')
    expectProblem(await market.ask('GET', `/api/offers/${path}`), 404, 'offer_not_found')
    if (!id.startsWith('pay_')) expectProblem(await market.ask('GET', `/api/payments/${path}`), 404, 'payment_not_found')
    expectProblem(await market.ask('GET', `/api/rentals/${path}`), 401, 'unauthorized')
    for (const [name, endpoint] of all) {
      if (endpoint.access === 'public' || !endpoint.path.includes('{id}')) continue
      const body = endpoint.body ? bodyOf(name) : undefined
      expectProblem(
        await market.ask(endpoint.method.toUpperCase(), endpoint.path.replace('{id}', path), body, headersOf(endpoint)),
        404,
        nounOf(endpoint).missing,
      )
    }
  }
})

test('every endpoint that is not for anyone is 401 without a token, and one of a rental or a machine 404 with another one, whatever else is wrong', async () => {
  const { rental } = await market.rent()
  for (const [, endpoint] of all) {
    if (endpoint.access === 'public') continue
    const method = endpoint.method.toUpperCase()
    const anonymous = await market.ask(method, pathOf(endpoint))
    expectProblem(anonymous, 401, 'unauthorized')
    expect(anonymous.headers.get('www-authenticate')).toBe('Bearer')
    for (const header of ['Basic eDp5', 'Bearer', 'Bearer a b', 'bearer'])
      expectProblem(await market.ask(method, pathOf(endpoint), undefined, { authorization: header }), 401, 'unauthorized')
    const another = await market.ask(method, pathOf(endpoint), undefined, market.bearer(rental.id))
    if (endpoint.access === 'admin') expectProblem(another, 401, 'unauthorized')
    // What is named by the body alone is not named yet.
    else if (endpoint.path.includes('{id}')) expectProblem(another, 404, nounOf(endpoint).missing)
  }
})

test('another method is 405 with what is possible, an unknown path 404, HEAD is GET without a body, OPTIONS tells', async () => {
  for (const [, endpoint] of all) {
    const path = pathOf(endpoint)
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const answer = await market.ask(method, path, undefined, headersOf(endpoint))
      expectProblem(answer, 405, 'method_not_allowed')
      expect(answer.headers.get('allow')).toContain(endpoint.method.toUpperCase())
    }
    const options = await market.ask('OPTIONS', path)
    expect(options.status).toBe(204)
    expect(options.headers.get('allow')).toContain(endpoint.method.toUpperCase())
    if (endpoint.method !== 'get') continue
    const [head, get] = [
      await market.ask('HEAD', path, undefined, headersOf(endpoint)),
      await market.ask('GET', path, undefined, headersOf(endpoint)),
    ]
    expect({ status: head.status, text: head.text }).toEqual({ status: get.status, text: '' })
    expect(get.headers.get('allow')).toBeNull()
  }
  expect((await market.ask('HEAD', '/api/rentals')).status).toBe(405)
  expect((await market.ask('DELETE', '/api/offers')).headers.get('allow')).toContain('HEAD')
  for (const path of ['/api', '/api/', '/api/nothing', '/api/rentals/', '/api/offers//', '/api/rentals/a/b/c', '/api/%00'])
    expectProblem(await market.ask('GET', path), 404, 'not_found')
  expectProblem(await market.ask('POST', '/api/openapi.json', {}), 405, 'method_not_allowed')
})

test('no answer may be kept by a shared cache or sniffed', async () => {
  for (const [, endpoint] of all) {
    const answer = await market.ask('GET', pathOf(endpoint), undefined, headersOf(endpoint))
    expect(answer.headers.get('cache-control')).toMatch(/no-store|private/)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  }
})
