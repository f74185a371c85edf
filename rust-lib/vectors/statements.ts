// Vectors of usage records and statements: good ones, and for every reason of docs/statement.md such as only this reason refuses.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { StatementFault } from '../js/engine.ts'
import { type Bill, encodeBill, encodeRecord, endReasons, firstPrevHash, type UsageFields } from '../js/statement.ts'
import { bytesOf, flipped, hex, join, sha256, unhex } from './bytes.ts'
import type { RecordVector, StatementVector, WrittenVerdict } from './format.ts'
import { mixedKey, order, scalarBytes, signMixed } from './signatures.ts'
import { treeHash } from './trees.ts'

const rentalId = `rnt_${hex(bytesOf('rental', 16))}`
const nodeId = `nod_${hex(bytesOf('node', 16))}`
const offerId = `ofr_${hex(bytesOf('offer', 16))}`

/** Who signs: a public key, and a signature of a message. */
type Signer = { publicKey: Uint8Array; sign: (message: Uint8Array) => Uint8Array }

function signerOf(name: string): Signer {
  const prefix = unhex('302e020100300506032b657004220420')
  const privateKey = createPrivateKey({ key: Buffer.from(join(prefix, bytesOf(name, 32))), format: 'der', type: 'pkcs8' })
  const publicKey = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32))
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, privateKey)) }
}

const node = signerOf('key of the node')
const stranger = signerOf('key of a stranger')

const leafHash = (record: Uint8Array) => sha256(Uint8Array.of(0), record)

/** What a bill follows from; the rest is computed. */
type Terms = Pick<
  Bill,
  'epoch' | 'units' | 'priceAtomsPerHour' | 'minutes' | 'feeBps' | 'startedAt' | 'endedAt' | 'endReason' | 'prepaidAtoms'
>

const startedAt = 1_767_225_600_000
const terms: Terms = {
  epoch: 1,
  units: 2,
  priceAtomsPerHour: 1_800_000n,
  minutes: 5,
  feeBps: 500,
  startedAt,
  endedAt: startedAt + 150_500,
  endReason: 'exited',
  prepaidAtoms: 300_000n,
}

const least = (...values: bigint[]) => values.reduce((low, value) => (value < low ? value : low))

/** The figures of docs/statement.md, in whole numbers of any size. */
function figuresOf(agreed: Terms, lastSecond: number) {
  const paid = 60n * BigInt(agreed.minutes)
  const ran = BigInt(agreed.endedAt - agreed.startedAt) / 1000n
  const metered = agreed.startedAt === 0 ? 0n : least(BigInt(lastSecond), paid, ran)
  const billed = agreed.startedAt === 0 ? 0n : least(metered < 60n ? 60n : metered, paid)
  const charged = least((BigInt(agreed.units) * agreed.priceAtomsPerHour * billed) / 3600n, agreed.prepaidAtoms)
  const fee = (charged * BigInt(agreed.feeBps)) / 10_000n
  return {
    meteredSeconds: Number(metered),
    billedSeconds: Number(billed),
    chargedAtoms: charged,
    feeAtoms: fee,
    payoutAtoms: charged - fee,
    refundAtoms: agreed.prepaidAtoms - charged,
  }
}

type Signed = { record: Uint8Array; signature: Uint8Array }

/** What a statement of the vectors is made of. Every step may be spoiled, and those after it are honest about it. */
type Recipe = {
  terms?: Partial<Terms>
  /** Where each record ends, in seconds. */
  seconds?: readonly number[]
  /** Whether the last record is final. */
  isOpen?: boolean
  signer?: Signer
  /** Changes a record before the next one names it and before it is signed; the position is from 1. */
  record?: (fields: UsageFields, position: number) => Partial<UsageFields>
  /** Changes a record's bytes before they are signed. */
  bytes?: (record: Uint8Array, position: number) => Uint8Array
  /** Changes what is signed. */
  message?: (record: Uint8Array, position: number) => Uint8Array
  signature?: (signature: Uint8Array, position: number) => Uint8Array
  /** Drops, doubles or reorders what is signed. */
  order?: (records: Signed[]) => Signed[]
  bill?: Partial<Bill>
  /** Changes the bytes of the bill before the root is computed. */
  billBytes?: (bill: Uint8Array) => Uint8Array
  root?: (root: Uint8Array, bill: Uint8Array, records: Signed[]) => Uint8Array
  whole?: (statement: Uint8Array) => Uint8Array
}

const threeRecords = [60, 120, 150]

function make(recipe: Recipe): { statement: Uint8Array; root: Uint8Array; count: number } {
  const agreed = { ...terms, ...recipe.terms }
  const seconds = recipe.seconds ?? threeRecords
  const signer = recipe.signer ?? node
  const signed: Signed[] = []
  let prevHash = firstPrevHash
  seconds.forEach((toSecond, index) => {
    const honest: UsageFields = {
      rentalId,
      nodeId,
      epoch: agreed.epoch,
      seq: index + 1,
      fromSecond: seconds[index - 1] ?? 0,
      toSecond,
      at: startedAt + 1000 * toSecond + 37,
      prevHash,
      final: index === seconds.length - 1 && recipe.isOpen !== true,
    }
    const bytes = encodeRecord({ ...honest, ...recipe.record?.(honest, index + 1) })
    const record = recipe.bytes?.(bytes, index + 1) ?? bytes
    const signature = signer.sign(recipe.message?.(record, index + 1) ?? leafHash(record))
    signed.push({ record, signature: recipe.signature?.(signature, index + 1) ?? signature })
    prevHash = hex(leafHash(record))
  })
  const records = recipe.order?.(signed) ?? signed
  const written = encodeBill({
    rentalId,
    nodeId,
    nodePublicKey: signer.publicKey,
    offerId,
    currency: 'USDC',
    ...agreed,
    ...figuresOf(agreed, seconds.at(-1) ?? 0),
    recordCount: records.length,
    ...recipe.bill,
  })
  const bill = recipe.billBytes?.(written) ?? written
  const honestRoot = treeHash([bill, ...records.map(({ record }) => record)])
  const root = recipe.root?.(honestRoot, bill, records) ?? honestRoot
  const statement = join(bill, ...records.map(({ record }) => record), records.at(-1)?.signature ?? new Uint8Array(), root)
  return { statement: recipe.whole?.(statement) ?? statement, root, count: records.length }
}

function good(name: string, recipe: Recipe): StatementVector {
  const { statement, root, count } = make(recipe)
  return { name, statement: hex(statement), verdict: { ok: true, records: count, root: hex(root) } }
}

/** A statement that is refused for `fault`; record and figures as the verdict has them. */
function bad(
  name: string,
  fault: StatementFault,
  recipe: Recipe,
  where: { record?: number; figures?: [stated: bigint, computed: bigint] } = {},
): StatementVector {
  const { record = 0, figures } = where
  const verdict: WrittenVerdict = { ok: false, fault, record }
  return {
    name,
    statement: hex(make(recipe).statement),
    verdict: figures ? { ...verdict, stated: String(figures[0]), computed: String(figures[1]) } : verdict,
  }
}

/** A bill without records: what the terms are tested with. */
const noRecords: Recipe = { seconds: [], terms: { startedAt: 0, endReason: 'start_failed' } }

const mixed = mixedKey('mixed key of a node', 3)
const mixedSigner: Signer = { publicKey: mixed.publicKey, sign: (message) => signMixed(mixed, message, 1) }

const largest: Partial<Terms> = {
  epoch: 0xffff_ffff,
  units: 0xffff_ffff,
  priceAtomsPerHour: 10n ** 18n - 1n,
  minutes: 71_582_788,
  feeBps: 10_000,
  startedAt: 1,
  endedAt: Number.MAX_SAFE_INTEGER,
  prepaidAtoms: 10n ** 18n - 1n,
}

const goodStatements: StatementVector[] = [
  good('three records', {}),
  good('it never ran: no records, no epoch, no key', {
    ...noRecords,
    terms: { ...noRecords.terms, epoch: 0 },
    bill: { nodePublicKey: new Uint8Array(32) },
  }),
  ...endReasons.map((endReason) => good(`it never ran: ${endReason}`, { ...noRecords, terms: { ...noRecords.terms, endReason } })),
  good('it ran, but no record came: the shortest time is billed', { seconds: [], terms: { endReason: 'node_lost' } }),
  good('ten seconds: the shortest time is billed', { seconds: [10], terms: { endedAt: startedAt + 10_900 } }),
  good('exactly the shortest time', { seconds: [60], terms: { endedAt: startedAt + 60_000 } }),
  good('one second above the shortest time', { seconds: [61], terms: { endedAt: startedAt + 61_000 } }),
  good('the last record is not final', { isOpen: true, terms: { endReason: 'node_lost' } }),
  good('the node ran longer than was paid for', { seconds: [60, 400], terms: { endedAt: startedAt + 400_000, endReason: 'time_up' } }),
  good('the node reports more than the market saw', { seconds: [60, 149], terms: { endedAt: startedAt + 120_999, endReason: 'stopped' } }),
  good('what was paid is less than the price', { terms: { prepaidAtoms: 149_999n } }),
  good('nothing was paid', { terms: { prepaidAtoms: 0n } }),
  good('the price is nothing', { terms: { priceAtomsPerHour: 0n } }),
  good('no fee', { terms: { feeBps: 0 } }),
  good('all of it is fee', { terms: { feeBps: 10_000 } }),
  good('charge and fee are rounded down', {
    seconds: [89],
    terms: { units: 3, priceAtomsPerHour: 123_457n, feeBps: 333, endedAt: startedAt + 89_000 },
  }),
  good('a record of no time', { seconds: [60, 60, 60], terms: { endedAt: startedAt + 60_000 } }),
  good('the first record is of no time', { seconds: [0, 60], terms: { endedAt: startedAt + 60_000 } }),
  good('it ended when it began', { seconds: [0], terms: { endedAt: startedAt } }),
  good('the largest numbers', { seconds: [315_360_000], terms: largest, record: () => ({ at: Number.MAX_SAFE_INTEGER }) }),
  good('the clock of the node is wrong', { record: () => ({ at: 0 }) }),
  good('a price times seconds above 64 bits', { terms: { priceAtomsPerHour: 10n ** 18n - 1n, prepaidAtoms: 10n ** 18n - 1n } }),
  good('seven records', { seconds: [1, 2, 3, 5, 8, 13, 21], terms: { endedAt: startedAt + 21_000 } }),
  good('eight records', { seconds: [1, 2, 3, 5, 8, 13, 21, 34], terms: { endedAt: startedAt + 34_000 } }),
  good('66 records', {
    seconds: Array.from({ length: 66 }, (_, index) => 60 * (index + 1)),
    terms: { minutes: 120, prepaidAtoms: 7_200_000n, endedAt: startedAt + 3_960_000, endReason: 'stopped' },
  }),
  good('a key of mixed order whose signatures need the factor 8', { signer: mixedSigner }),
]

/** recordCount for which 272 + 93 n is 209 in 32 bits. */
const wrappingCount = 1_801_115_317

const malformed: StatementVector[] = [
  bad('no bytes', 'malformed', { whole: () => new Uint8Array() }),
  bad('207 bytes', 'malformed', { ...noRecords, whole: (statement) => statement.slice(0, 207) }),
  bad('only zeros', 'malformed', { whole: () => new Uint8Array(208) }),
  bad('another magic', 'malformed', { billBytes: (bill) => flipped(bill, 0) }),
  bad('another version', 'malformed', { billBytes: (bill) => flipped(bill, 3, 3) }),
  bad('the last byte is missing', 'malformed', { whole: (statement) => statement.slice(0, -1) }),
  bad('one byte follows', 'malformed', { whole: (statement) => join(statement, Uint8Array.of(0)) }),
  bad('the last record is missing', 'malformed', { whole: (statement) => join(statement.slice(0, 176 + 2 * 93), statement.slice(-96)) }),
  bad('recordCount is one too many', 'malformed', { bill: { recordCount: 4 } }),
  bad('recordCount is one too few', 'malformed', { bill: { recordCount: 2 } }),
  bad('the largest recordCount', 'malformed', { ...noRecords, bill: { recordCount: 0xffff_ffff } }),
  bad('a recordCount whose length wraps in 32 bits', 'malformed', {
    ...noRecords,
    bill: { recordCount: wrappingCount },
    whole: (statement) => join(statement, Uint8Array.of(0)),
  }),
  bad('malformed comes before terms', 'malformed', { billBytes: (bill) => bill.with(123, 0), whole: (statement) => statement.slice(1) }),
]

/** A byte of the bill, and what it becomes. */
const withByte = (at: number, value: number) => (bill: Uint8Array) => bill.with(at, value)

const tooMuch = 10n ** 18n
const wrongTerms: StatementVector[] = [
  bad('epoch 0 with records', 'terms', { terms: { epoch: 0 } }),
  bad('no units', 'terms', { terms: { units: 0 } }),
  bad('no minutes', 'terms', { terms: { minutes: 0 } }),
  bad('minutes whose seconds pass 32 bits', 'terms', { terms: { minutes: 71_582_789 } }),
  bad('the largest minutes', 'terms', { ...noRecords, terms: { ...noRecords.terms, minutes: 0xffff_ffff } }),
  bad('a fee above the whole', 'terms', { ...noRecords, bill: { feeBps: 10_001 } }),
  bad('endReason 0', 'terms', { billBytes: withByte(122, 0) }),
  bad('endReason 9', 'terms', { billBytes: withByte(122, 9) }),
  bad('currency 0', 'terms', { billBytes: withByte(123, 0) }),
  bad('currency 2', 'terms', { billBytes: withByte(123, 2) }),
  bad('priceAtomsPerHour of 10^18', 'terms', { ...noRecords, bill: { priceAtomsPerHour: tooMuch } }),
  bad('priceAtomsPerHour of 2^64 - 1', 'terms', { ...noRecords, bill: { priceAtomsPerHour: 2n ** 64n - 1n } }),
  bad('prepaidAtoms of 10^18', 'terms', { ...noRecords, bill: { prepaidAtoms: tooMuch } }),
  bad('chargedAtoms of 10^18', 'terms', { ...noRecords, bill: { chargedAtoms: tooMuch } }),
  bad('feeAtoms of 10^18', 'terms', { ...noRecords, bill: { feeAtoms: tooMuch } }),
  bad('payoutAtoms of 10^18', 'terms', { ...noRecords, bill: { payoutAtoms: tooMuch } }),
  bad('refundAtoms of 10^18', 'terms', { ...noRecords, bill: { refundAtoms: tooMuch } }),
  bad('endedAt of 2^53', 'terms', { billBytes: (bill) => join(bill.slice(0, 114), unhex('0020000000000000'), bill.slice(122)) }),
  bad('startedAt and endedAt of 2^53', 'terms', {
    billBytes: (bill) => join(bill.slice(0, 106), unhex('00200000000000000020000000000000'), bill.slice(122)),
  }),
  bad('it ended before it began', 'terms', { bill: { endedAt: startedAt - 1 } }),
  bad('terms come before node_key', 'terms', { terms: { units: 0 }, bill: { nodePublicKey: new Uint8Array(32) } }),
]

const nodeKeys: StatementVector[] = [
  ['only zeros, a point of order 4', '00'.repeat(32)],
  ['the neutral point', `01${'00'.repeat(31)}`],
  ['a point of order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['minus zero', `01${'00'.repeat(30)}80`],
  ['y = p', `ed${'ff'.repeat(30)}7f`],
  ['y = p + 3', `f0${'ff'.repeat(30)}7f`],
  ['only ones', 'ff'.repeat(32)],
  ['y = 2, which is not on the curve', `02${'00'.repeat(31)}`],
].map(([name = '', key = '']) => bad(`the node's key is ${name}`, 'node_key', { bill: { nodePublicKey: unhex(key) } }))

const onlyAt =
  <Change>(position: number, change: Change) =>
  (_: unknown, at: number): Change | Record<string, never> =>
    at === position ? change : {}

const bytesAt = (position: number, change: (record: Uint8Array) => Uint8Array) => (record: Uint8Array, at: number) =>
  at === position ? change(record) : record

const wrongRecords: StatementVector[] = [
  bad('node_key comes before the records', 'node_key', {
    bill: { nodePublicKey: new Uint8Array(32) },
    bytes: bytesAt(1, (record) => flipped(record, 0)),
  }),
  bad('another magic of record 1', 'record_malformed', { bytes: bytesAt(1, (record) => flipped(record, 1)) }, { record: 1 }),
  bad('version 1 of record 3', 'record_malformed', { bytes: bytesAt(3, (record) => record.with(3, 1)) }, { record: 3 }),
  bad('an unknown flag', 'record_malformed', { bytes: bytesAt(2, (record) => record.with(60, 2)) }, { record: 2 }),
  bad('an unknown flag beside final', 'record_malformed', { bytes: bytesAt(3, (record) => record.with(60, 0x81)) }, { record: 3 }),
  bad(
    'at of 2^53',
    'record_malformed',
    { bytes: bytesAt(2, (record) => join(record.slice(0, 52), unhex('0020000000000000'), record.slice(60))) },
    { record: 2 },
  ),
  bad(
    'at of 2^64 - 1',
    'record_malformed',
    { bytes: bytesAt(1, (record) => join(record.slice(0, 52), unhex('ff'.repeat(8)), record.slice(60))) },
    { record: 1 },
  ),
  bad(
    'record_malformed comes before record_foreign',
    'record_malformed',
    { bytes: bytesAt(2, (record) => flipped(flipped(record, 0), 4)) },
    { record: 2 },
  ),
  bad(
    'the record of another rental',
    'record_foreign',
    { record: onlyAt(2, { rentalId: `rnt_${hex(bytesOf('other rental', 16))}` }) },
    { record: 2 },
  ),
  bad(
    'the record of another node',
    'record_foreign',
    { record: onlyAt(1, { nodeId: `nod_${hex(bytesOf('other node', 16))}` }) },
    { record: 1 },
  ),
  bad('the record of another placement', 'record_foreign', { record: onlyAt(3, { epoch: 2 }) }, { record: 3 }),
  bad('the bill of another rental', 'record_foreign', { bill: { rentalId: `rnt_${hex(bytesOf('other rental', 16))}` } }, { record: 1 }),
  bad('the bill of another placement', 'record_foreign', { bill: { epoch: 2 } }, { record: 1 }),
  bad('record_foreign comes before sequence', 'record_foreign', { record: onlyAt(2, { epoch: 2, seq: 9 }) }, { record: 2 }),
  bad('seq begins with 0', 'sequence', { record: (fields) => ({ seq: fields.seq - 1 }) }, { record: 1 }),
  bad('seq begins with 2', 'sequence', { record: (fields) => ({ seq: fields.seq + 1 }) }, { record: 1 }),
  bad('a seq is left out', 'sequence', { record: onlyAt(3, { seq: 4 }) }, { record: 3 }),
  bad('a seq comes twice', 'sequence', { record: onlyAt(2, { seq: 1 }) }, { record: 2 }),
  bad('a record follows the final one', 'sequence', { record: onlyAt(2, { final: true }) }, { record: 3 }),
  bad('every record is final', 'sequence', { record: () => ({ final: true }) }, { record: 2 }),
  bad('the first record is dropped', 'sequence', { order: (records) => records.slice(1) }, { record: 1 }),
  bad('the second record is dropped', 'chain', { order: (records) => records.filter((_, index) => index !== 1) }, { record: 1 }),
  bad('the last record is dropped', 'metered', { order: (records) => records.slice(0, 2) }, { figures: [150n, 120n] }),
  bad('the last record is doubled', 'chain', { order: (records) => [...records, ...records.slice(2)] }, { record: 3 }),
  bad('the first record is doubled', 'chain', { order: (records) => [...records.slice(0, 1), ...records] }, { record: 1 }),
  bad('the records are turned around', 'chain', { order: (records) => records.toReversed() }, { record: 2 }),
  bad('chain comes before sequence', 'chain', { record: onlyAt(2, { seq: 3, prevHash: firstPrevHash }) }, { record: 1 }),
  bad('prevHash of the first record', 'sequence', { record: onlyAt(1, { prevHash: `${'0'.repeat(63)}1` }) }, { record: 1 }),
  bad('prevHash of a later record is zero', 'chain', { record: onlyAt(2, { prevHash: firstPrevHash }) }, { record: 1 }),
  bad(
    'prevHash is SHA-256 of the record without 00',
    'chain',
    {
      record: (fields, position) =>
        position === 2
          ? {
              prevHash: hex(
                sha256(
                  encodeRecord({
                    ...fields,
                    seq: 1,
                    fromSecond: 0,
                    toSecond: 60,
                    at: startedAt + 60_037,
                    prevHash: firstPrevHash,
                    final: false,
                  }),
                ),
              ),
            }
          : {},
    },
    { record: 1 },
  ),
  bad(
    'another record 1 with a good signature: a forked chain',
    'chain',
    {
      order: (records) => [...make1({ toSecond: 60, at: startedAt + 1 }), ...records.slice(1)],
    },
    { record: 1 },
  ),
  bad('chain comes before time', 'chain', { record: onlyAt(2, { prevHash: firstPrevHash, fromSecond: 61 }) }, { record: 1 }),
  bad(
    'of two breaks in the chain the later one is named',
    'chain',
    { record: (_, at) => (at > 1 ? { prevHash: firstPrevHash } : {}) },
    { record: 2 },
  ),
  bad(
    'a break in the chain comes before an earlier wrong record',
    'chain',
    { record: (_, at) => (at === 1 ? { epoch: 9 } : at === 3 ? { prevHash: firstPrevHash } : {}) },
    { record: 2 },
  ),
  bad('the first record does not begin with 0', 'time', { record: onlyAt(1, { fromSecond: 1 }) }, { record: 1 }),
  bad('a gap in time', 'time', { record: onlyAt(2, { fromSecond: 61 }) }, { record: 2 }),
  bad('time that overlaps', 'time', { record: onlyAt(3, { fromSecond: 119 }) }, { record: 3 }),
  bad('time that goes back', 'time', { record: onlyAt(3, { toSecond: 119 }) }, { record: 3 }),
  bad('more than ten years', 'time', { seconds: [315_360_001], terms: largest }, { record: 1 }),
  bad('the largest toSecond', 'time', { seconds: [60, 0xffff_ffff] }, { record: 2 }),
  bad('of two wrong records the first is named', 'record_foreign', { record: (_, at) => (at === 1 ? {} : { epoch: 9 }) }, { record: 2 }),
]

/** One record as record 1 of the same rental, signed by the node. */
function make1(fields: Partial<UsageFields>): Signed[] {
  const record = encodeRecord({
    rentalId,
    nodeId,
    epoch: 1,
    seq: 1,
    fromSecond: 0,
    toSecond: 60,
    at: startedAt,
    prevHash: firstPrevHash,
    final: false,
    ...fields,
  })
  return [{ record, signature: node.sign(leafHash(record)) }]
}

const spoil = (position: number, change: (signature: Uint8Array) => Uint8Array) => (signature: Uint8Array, at: number) =>
  at === position ? change(signature) : signature

const scalarOfS = (signature: Uint8Array) => BigInt(`0x${hex(signature.slice(32).reverse())}`)

const wrongSignatures: StatementVector[] = [
  bad('a bit of R', 'signature', { signature: spoil(3, (signature) => flipped(signature, 7)) }, { record: 3 }),
  bad('a bit of S', 'signature', { signature: spoil(3, (signature) => flipped(signature, 40)) }, { record: 3 }),
  bad(
    'S + L',
    'signature',
    { signature: spoil(3, (signature) => join(signature.slice(0, 32), scalarBytes(scalarOfS(signature) + order))) },
    { record: 3 },
  ),
  bad('only zeros', 'signature', { signature: spoil(3, () => new Uint8Array(64)) }, { record: 3 }),
  bad(
    'the neutral point as R and S = 0',
    'signature',
    { signature: spoil(3, () => join(Uint8Array.of(1), new Uint8Array(63))) },
    { record: 3 },
  ),
  bad(
    'the signature of the record before',
    'signature',
    { order: ([first, second, third]) => (first && second && third ? [first, second, { ...third, signature: second.signature }] : []) },
    { record: 3 },
  ),
  bad('signed by a stranger', 'signature', { bill: { nodePublicKey: stranger.publicKey } }, { record: 3 }),
  bad('signed over the record and not over its leaf hash', 'signature', { message: (record) => record }, { record: 3 }),
  bad('signed over SHA-256 of the record without 00', 'signature', { message: (record) => sha256(record) }, { record: 3 }),
  bad(
    'at is changed after it was signed',
    'signature',
    {
      order: ([first, second, third]) => (first && second && third ? [first, second, { ...third, record: flipped(third.record, 59) }] : []),
    },
    { record: 3 },
  ),
  bad(
    'final is changed after it was signed',
    'signature',
    {
      order: ([first, second, third]) => (first && second && third ? [first, second, { ...third, record: flipped(third.record, 60) }] : []),
    },
    { record: 3 },
  ),
  bad(
    'the only record is changed after it was signed',
    'signature',
    {
      seconds: [150],
      order: ([only]) => (only ? [{ ...only, record: flipped(only.record, 51) }] : []),
    },
    { record: 1 },
  ),
  bad(
    'a wrong signature comes before a broken chain',
    'signature',
    { record: onlyAt(2, { prevHash: firstPrevHash }), signature: spoil(3, (signature) => flipped(signature, 0)) },
    { record: 3 },
  ),
  bad(
    'a wrong signature comes before a wrong record',
    'signature',
    { record: onlyAt(2, { fromSecond: 61 }), signature: spoil(3, (signature) => flipped(signature, 0)) },
    { record: 3 },
  ),
  bad(
    'a wrong signature comes before wrong figures',
    'signature',
    { signature: spoil(3, (signature) => flipped(signature, 33)), bill: { meteredSeconds: 1 } },
    { record: 3 },
  ),
  bad(
    'a wrong signature comes before a wrong root',
    'signature',
    { signature: spoil(3, (signature) => flipped(signature, 33)), root: (root) => flipped(root, 0) },
    { record: 3 },
  ),
  bad(
    'the signature of 66 records',
    'signature',
    {
      seconds: Array.from({ length: 66 }, (_, index) => 60 * (index + 1)),
      terms: { minutes: 120, prepaidAtoms: 7_200_000n, endedAt: startedAt + 3_960_000 },
      signature: spoil(66, (signature) => flipped(signature, 63, 0x80)),
    },
    { record: 66 },
  ),
]

const wrongFigures: StatementVector[] = [
  bad('one second too many is metered', 'metered', { bill: { meteredSeconds: 151 } }, { figures: [151n, 150n] }),
  bad('one second too few is metered', 'metered', { bill: { meteredSeconds: 149 } }, { figures: [149n, 150n] }),
  bad(
    'metered beyond what was paid for',
    'metered',
    {
      seconds: [400],
      terms: { endedAt: startedAt + 400_000 },
      bill: { meteredSeconds: 400 },
    },
    { figures: [400n, 300n] },
  ),
  bad(
    'metered beyond the end',
    'metered',
    { seconds: [149], terms: { endedAt: startedAt + 120_999 }, bill: { meteredSeconds: 149 } },
    { figures: [149n, 120n] },
  ),
  bad('metered is rounded up', 'metered', { seconds: [151], bill: { meteredSeconds: 151 } }, { figures: [151n, 150n] }),
  bad('it never ran, but it is metered', 'metered', { ...noRecords, bill: { meteredSeconds: 60 } }, { figures: [60n, 0n] }),
  bad('it never ran, but there are records', 'metered', { terms: { startedAt: 0 } }, { figures: [0n, 0n] }),
  bad(
    'it never ran, but there are records and seconds',
    'metered',
    { terms: { startedAt: 0 }, bill: { meteredSeconds: 150 } },
    { figures: [150n, 0n] },
  ),
  bad('metered comes before billed', 'metered', { bill: { meteredSeconds: 0, billedSeconds: 0 } }, { figures: [0n, 150n] }),
  bad(
    'the shortest time is not billed',
    'billed',
    { seconds: [10], terms: { endedAt: startedAt + 10_000 }, bill: { billedSeconds: 10 } },
    { figures: [10n, 60n] },
  ),
  bad('more is billed than was metered', 'billed', { bill: { billedSeconds: 180 } }, { figures: [180n, 150n] }),
  bad('it never ran, but the shortest time is billed', 'billed', { ...noRecords, bill: { billedSeconds: 60 } }, { figures: [60n, 0n] }),
  bad('billed comes before charge', 'billed', { bill: { billedSeconds: 149, chargedAtoms: 1n } }, { figures: [149n, 150n] }),
  bad('one atom too many is charged', 'charge', { bill: { chargedAtoms: 150_001n } }, { figures: [150_001n, 150_000n] }),
  bad('one atom too few is charged', 'charge', { bill: { chargedAtoms: 149_999n } }, { figures: [149_999n, 150_000n] }),
  bad(
    'the charge is rounded up',
    'charge',
    {
      seconds: [89],
      terms: { units: 3, priceAtomsPerHour: 123_457n, endedAt: startedAt + 89_000 },
      bill: { chargedAtoms: 9_157n },
    },
    { figures: [9_157n, 9_156n] },
  ),
  bad(
    'more is charged than was paid',
    'charge',
    { terms: { prepaidAtoms: 149_999n }, bill: { chargedAtoms: 150_000n } },
    { figures: [150_000n, 149_999n] },
  ),
  bad('the price was raised afterwards', 'charge', { bill: { priceAtomsPerHour: 1_900_000n } }, { figures: [150_000n, 158_333n] }),
  bad('one unit more afterwards', 'charge', { bill: { units: 3 } }, { figures: [150_000n, 225_000n] }),
  bad('charge comes before fee', 'charge', { bill: { chargedAtoms: 1n, feeAtoms: 1n } }, { figures: [1n, 150_000n] }),
  bad('one atom too many is the fee', 'fee', { bill: { feeAtoms: 7_501n } }, { figures: [7_501n, 7_500n] }),
  bad(
    'the fee is rounded up',
    'fee',
    {
      seconds: [89],
      terms: { units: 3, priceAtomsPerHour: 123_457n, feeBps: 333, endedAt: startedAt + 89_000 },
      bill: { feeAtoms: 305n },
    },
    { figures: [305n, 304n] },
  ),
  bad('another fee afterwards', 'fee', { bill: { feeBps: 501 } }, { figures: [7_500n, 7_515n] }),
  bad('fee comes before payout', 'fee', { bill: { feeAtoms: 0n, payoutAtoms: 150_000n } }, { figures: [0n, 7_500n] }),
  bad('one atom too many is paid out', 'payout', { bill: { payoutAtoms: 142_501n } }, { figures: [142_501n, 142_500n] }),
  bad('all of the charge is paid out', 'payout', { bill: { payoutAtoms: 150_000n } }, { figures: [150_000n, 142_500n] }),
  bad('payout comes before refund', 'payout', { bill: { payoutAtoms: 0n, refundAtoms: 292_500n } }, { figures: [0n, 142_500n] }),
  bad('one atom too few is given back', 'refund', { bill: { refundAtoms: 149_999n } }, { figures: [149_999n, 150_000n] }),
  bad('nothing is given back', 'refund', { bill: { refundAtoms: 0n } }, { figures: [0n, 150_000n] }),
  bad('more was paid than is said', 'refund', { bill: { prepaidAtoms: 300_001n } }, { figures: [150_000n, 150_001n] }),
  bad('refund comes before root', 'refund', { bill: { refundAtoms: 1n }, root: () => new Uint8Array(32) }, { figures: [1n, 150_000n] }),
]

const wrongRoots: StatementVector[] = [
  bad('one bit of the root', 'root', { root: (root) => flipped(root, 31) }),
  bad('a root of zeros', 'root', { root: () => new Uint8Array(32) }),
  bad('a root of zeros without records', 'root', { ...noRecords, root: () => new Uint8Array(32) }),
  bad('the root of the records without the bill', 'root', { root: (_, __, records) => treeHash(records.map(({ record }) => record)) }),
  bad('the root with the signature in it', 'root', {
    root: (_, bill, records) => treeHash([bill, ...records.map(({ record }) => record), records.at(-1)?.signature ?? bill]),
  }),
  bad('the root of a tree that doubles a node without a neighbour', 'root', {
    seconds: [60, 120],
    terms: { endedAt: startedAt + 120_000 },
    root: (_, bill, records) => treeHash([bill, ...records.map(({ record }) => record), records.at(-1)?.record ?? bill]),
  }),
  bad('the root over leaves without 00', 'root', { ...noRecords, root: (_, bill) => sha256(bill) }),
  bad('the offer is changed afterwards', 'root', { whole: (statement) => flipped(statement, 68) }),
  bad('the reason is changed afterwards', 'root', { whole: (statement) => statement.with(122, 1) }),
]

export const statementVectors: StatementVector[] = [
  ...goodStatements,
  ...malformed,
  ...wrongTerms,
  ...nodeKeys,
  ...wrongRecords,
  ...wrongSignatures,
  ...wrongFigures,
  ...wrongRoots,
]

export const recordVectors: RecordVector[] = [
  ['the first record', {}],
  ['a final record', { seq: 3, fromSecond: 120, toSecond: 150, prevHash: hex(bytesOf('a hash', 32)), final: true }],
  [
    'the largest numbers',
    { epoch: 0xffff_ffff, seq: 0xffff_ffff, fromSecond: 0xffff_ffff, toSecond: 0xffff_ffff, at: Number.MAX_SAFE_INTEGER },
  ],
  ['only zeros', { epoch: 0, seq: 0, toSecond: 0, at: 0, rentalId: `rnt_${'0'.repeat(32)}`, nodeId: `nod_${'0'.repeat(32)}` }],
].map(([name, changes]) => {
  const first = { rentalId, nodeId, epoch: 1, seq: 1, fromSecond: 0, toSecond: 60, at: startedAt, prevHash: firstPrevHash, final: false }
  const fields = { ...first, ...(changes as Partial<UsageFields>) }
  const bytes = encodeRecord(fields)
  return { name: String(name), fields, bytes: hex(bytes), leafHash: hex(leafHash(bytes)) }
})
