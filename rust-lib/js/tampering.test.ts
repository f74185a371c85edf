// A statement that was changed is refused, by every engine with the same verdict and for the right reason; no bytes at all make a check throw.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { javascriptEngine } from './javascript-engine.ts'
import { madeStatement } from './made-statement.ts'
import { nodePrimitives } from './node-primitives.ts'
import { billFigures } from './price.ts'
import { decodeBill, encodeBill, encodeStatement, packRecords, recordBytes, type SignedRecord } from './statement.ts'
import { testedEngines, verdictText } from './test-engines.ts'

const oracle = javascriptEngine(nodePrimitives)
const three = madeStatement(3, oracle)

/** The one verdict of all engines; `slowToo` asks the slow ones as well. */
function verdictOf(statement: Uint8Array, slowToo = true): string {
  const verdicts = testedEngines
    .filter(({ isFast }) => isFast || slowToo)
    .map(({ label, engine }) => [label, verdictText(engine.verifyStatement(statement))] as const)
  const [first] = verdicts
  for (const [label, verdict] of verdicts) expect(verdict, label).toBe(first?.[1])
  return first?.[1] ?? ''
}

/** Where the fields of the bill end, and for which reasons a change of one may be refused. */
const billFields: [end: number, reasons: string][] = [
  [4, 'malformed'],
  [36, 'record_foreign'],
  [68, 'node_key|signature'],
  [84, 'root'],
  [88, 'record_foreign|terms'],
  [100, 'charge|root|terms'],
  [104, 'metered|root|terms'],
  [106, 'fee|terms'],
  [122, 'metered|root|terms'],
  [123, 'root|terms'],
  [124, 'terms'],
  [128, 'metered'],
  [132, 'billed'],
  [140, 'charge|refund|terms'],
  [148, 'charge|terms'],
  [156, 'fee|terms'],
  [164, 'payout|terms'],
  [172, 'refund|terms'],
  [176, 'malformed'],
]

/** For which reasons, and at which record, a change of the byte at `at` of a statement of three records may be refused. */
function expectedAt(at: number): { reasons: string; record: number } {
  const reasonsIn = (fields: typeof billFields, offset: number) => fields.find(([end]) => offset < end)?.[1] ?? ''
  if (at < 176) {
    const reasons = reasonsIn(billFields, at)
    return { reasons, record: reasons.startsWith('record_foreign') ? 1 : reasons.includes('signature') ? 3 : 0 }
  }
  const signatureAt = 176 + 3 * recordBytes
  if (at >= signatureAt + 64) return { reasons: 'root', record: 0 }
  // Whatever a record says otherwise, its hash is another: the next one names it no more, and the last one is not what was signed.
  const record = Math.min(3, Math.floor((at - 176) / recordBytes) + 1)
  return { reasons: record === 3 ? 'signature' : 'chain', record }
}

test('the statement as it was made holds', () => {
  expect(verdictOf(three.statement)).toMatch(/^ok, 3 records/)
})

test.each([0x01, 0x80, 0xff])('every single byte, changed by %i, is found and named', (bits) => {
  for (let at = 0; at < three.statement.length; at += 1) {
    const changed = three.statement.with(at, (three.statement[at] ?? 0) ^ bits)
    const { reasons, record } = expectedAt(at)
    const verdict = verdictOf(changed, bits === 0x01)
    const [, reason = '', position = ''] = /^(\w+), record (\d+)/.exec(verdict) ?? []
    expect(reasons.split('|'), `byte ${at}: ${verdict}`).toContain(reason)
    // Terms and the key are the bill's, whatever else the byte touches.
    expect(Number(position), `byte ${at}: ${verdict}`).toBe(['terms', 'node_key'].includes(reason) ? 0 : record)
  }
})

describe('with a root that fits', () => {
  const six = madeStatement(6, oracle)
  const withRecords = (records: SignedRecord[]) => encodeStatement({ bill: six.bill, records }, oracle)

  test.each([2, 3, 4, 5])('record %i dropped breaks the chain before it', (record) => {
    expect(verdictOf(withRecords(six.records.filter((_, index) => index !== record - 1)))).toBe(`chain, record ${record - 1}`)
  })

  test('the first record dropped is a chain that follows something', () => {
    expect(verdictOf(withRecords(six.records.slice(1)))).toBe('sequence, record 1')
  })

  test('the last record dropped is time that no record speaks of', () => {
    expect(verdictOf(withRecords(six.records.slice(0, 5)))).toBe('metered, record 0, 360 instead of 300')
  })

  test.each([1, 2, 3, 4, 5, 6])('record %i doubled', (record) => {
    expect(verdictOf(withRecords(six.records.toSpliced(record, 0, ...six.records.slice(record - 1, record))))).toBe(
      record === 6 ? 'chain, record 6' : `chain, record ${record}`,
    )
  })

  test('any two records exchanged', () => {
    for (let left = 0; left < 6; left += 1) {
      for (let right = left + 1; right < 6; right += 1) {
        const records = [...six.records]
        ;[records[left], records[right]] = [records[right], records[left]] as [SignedRecord, SignedRecord]
        // The later of the two places: what follows it is as it was signed.
        expect(verdictOf(withRecords(records))).toBe(right === 5 ? `chain, record 5` : `chain, record ${right + 1}`)
      }
    }
  })

  test('records of another rental', () => {
    const other = madeStatement(6, oracle)
    expect(verdictOf(withRecords([...six.records.slice(0, 3), ...other.records.slice(3)]))).toBe('signature, record 6')
    // With the other rental's last record but this one's key nothing is signed; the other way round the chain does not hold.
    expect(verdictOf(withRecords([...other.records.slice(0, 3), ...six.records.slice(3)]))).toBe('chain, record 3')
  })

  test('every figure one atom or one second off', () => {
    const reasons = {
      meteredSeconds: 'metered',
      billedSeconds: 'billed',
      chargedAtoms: 'charge',
      feeAtoms: 'fee',
      payoutAtoms: 'payout',
      refundAtoms: 'refund',
    } as const
    for (const [field, reason] of Object.entries(reasons)) {
      for (const by of [-1, 1]) {
        const right = six.bill[field as keyof typeof reasons]
        const wrong = typeof right === 'bigint' ? right + BigInt(by) : right + by
        const changed = encodeStatement({ ...six, bill: { ...six.bill, [field]: wrong } }, oracle)
        expect(verdictOf(changed)).toBe(`${reason}, record 0, ${wrong} instead of ${right}`)
      }
    }
  })

  test('another price alone is refused; with figures that follow from it the statement holds, but its root is another', () => {
    const terms = { ...six.bill, priceAtomsPerHour: six.bill.priceAtomsPerHour * 2n }
    expect(verdictOf(encodeStatement({ ...six, bill: terms }, oracle))).toMatch(/^charge, record 0/)
    const repriced = encodeStatement({ ...six, bill: { ...terms, ...billFigures({ ...terms, lastSecond: 360 }) } }, oracle)
    expect(verdictOf(repriced)).toMatch(/^ok, 6 records/)
    expect(repriced.subarray(-32)).not.toEqual(six.statement.subarray(-32))
  })
})

describe('whatever the bytes are, there is a verdict and not an error', () => {
  test('a statement that ends early or goes on is malformed', () => {
    for (let length = 0; length < three.statement.length; length += 1)
      expect(verdictOf(three.statement.slice(0, length))).toBe('malformed, record 0')
    for (const more of [1, 32, 64, 93])
      expect(verdictOf(new Uint8Array([...three.statement, ...new Uint8Array(more)]))).toBe('malformed, record 0')
  })

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500 }), (bytes) => {
        expect(verdictOf(bytes)).toBe('malformed, record 0')
      }),
      { numRuns: 300 },
    )
  })

  test('a bill of random bytes with a right length, and records of random bytes', () => {
    const random = fc.record({
      body: fc.uint8Array({ minLength: 168, maxLength: 168 }),
      records: fc.array(fc.uint8Array({ minLength: 93, maxLength: 93 }), { maxLength: 4 }),
    })
    fc.assert(
      fc.property(random, ({ body, records }) => {
        const statement = new Uint8Array(208 + 93 * records.length + (records.length === 0 ? 0 : 64))
        statement.set(three.statement.subarray(0, 4))
        statement.set(body, 4)
        new DataView(statement.buffer).setUint32(172, records.length)
        for (const [index, record] of records.entries()) statement.set(record, 176 + 93 * index)
        expect(verdictOf(statement)).not.toMatch(/^(ok|malformed)/)
      }),
      { numRuns: 300 },
    )
  })

  test('several changes at once: every engine says the same', () => {
    const change = fc.tuple(fc.nat(three.statement.length - 1), fc.integer({ min: 1, max: 255 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const statement = three.statement.slice()
        for (const [at, bits] of changes) statement[at] = (statement[at] ?? 0) ^ bits
        verdictOf(statement, false)
      }),
      { numRuns: 500 },
    )
  })

  test('terms at their limits, with figures of any size: every engine says the same', () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 59, 60, 61, 3600, 71_582_788, 71_582_789, 0xffff_ffff), fc.nat())
    const amount = fc.oneof(
      fc.constantFrom(0n, 1n, 10n ** 18n - 1n, 10n ** 18n, 2n ** 63n, 2n ** 64n - 1n),
      fc.bigInt({ min: 0n, max: 10n ** 18n }),
    )
    const time = fc.oneof(fc.constantFrom(0, 1, 999, 1000, 60_000, Number.MAX_SAFE_INTEGER), fc.maxSafeNat())
    const bill = fc.record({
      epoch: word,
      units: word,
      priceAtomsPerHour: amount,
      minutes: word,
      feeBps: fc.integer({ min: 0, max: 10_001 }),
      startedAt: time,
      endedAt: time,
      prepaidAtoms: amount,
    })
    const atLeastOnce = new Set<string>()
    fc.assert(
      fc.property(bill, fc.nat(6), (terms, honestFigures) => {
        const figures = billFigures({ ...terms, lastSecond: 0 })
        const fits = { ...figures, refundAtoms: figures.refundAtoms, payoutAtoms: figures.payoutAtoms }
        const kept = Object.fromEntries(Object.entries(fits).slice(0, honestFigures))
        const none = { meteredSeconds: 0, billedSeconds: 0, chargedAtoms: 0n, feeAtoms: 0n, payoutAtoms: 0n, refundAtoms: 0n }
        const whole = { ...decodeBill(three.statement.subarray(0, 176)), ...terms, ...none, ...kept, recordCount: 0 }
        if (
          whole.meteredSeconds < 0 ||
          whole.billedSeconds > 0xffff_ffff ||
          Object.values(whole).some((value) => typeof value === 'bigint' && value < 0n)
        )
          return
        const statement = new Uint8Array([
          ...encodeBill(whole),
          ...encodeStatement({ bill: whole, records: packRecords([]) }, oracle).subarray(-32),
        ])
        atLeastOnce.add(verdictOf(statement).split(',')[0] ?? '')
      }),
      { numRuns: 2000 },
    )
    expect([...atLeastOnce]).toEqual(expect.arrayContaining(['ok', 'terms', 'billed', 'charge']))
  })
})
