// The Merkle root of a million records, by every way there is, with the memory that each takes. Part of bench:crypto.

import { median } from '../measure.ts'
import { runAlone } from './memory.ts'
import { referenceRoot } from './peers-node.ts'
import { madeLeaves, openRootWays, openZeppelin, type RootWay } from './root-ways.ts'
import { mustEqual, type Taken, type Way } from './rounds.ts'
import { brief, durationOf, fastest, named, type Plan, ratioAim, type Section, table, takeTurnsHere, timesAsFast } from './table.ts'

/** Measures roots over leaves of 118 and of 128 bytes; the first fill two blocks of SHA-256, the second three. */
export async function measureMerkle({ isQuick, turns }: Plan): Promise<Section> {
  const count = isQuick ? 100_000 : 1_000_000
  const ways = await openRootWays(count)
  const head = ['way', 'time', 'ns per leaf', 'wasm is so many times as fast']
  const section: Section = { title: `Merkle root of ${count.toLocaleString('en-US')} records (RFC 6962, SHA-256)`, lines: [], aims: [] }
  for (const leafBytes of [118, 128]) {
    const taken = await takeTurnsHere(checkedRootWays(ways, count, leafBytes), turns)
    const wasm = named(taken, 'wasm')
    const rows = ways.map(({ name, most = count }) => {
      const each = named(taken, name)
      const scaled = most < count ? `${name} (measured with ${most.toLocaleString('en-US')}, scaled)` : name
      return [scaled, durationOf(each, count), brief(median(each.seconds) * 1e9), brief(timesAsFast(wasm, each))]
    })
    section.lines.push('', `Leaves of ${leafBytes} bytes`, '', ...table(head, rows))
    const best = fastest(taken.filter(isJavaScript))
    section.aims.push(
      ratioAim(`Merkle root, ${leafBytes} B, beside the best JavaScript way (${best.name})`, wasm, best, 1.7),
      ratioAim(`Merkle root, ${leafBytes} B, beside createHash`, wasm, named(taken, 'node createHash'), 5),
    )
  }
  section.lines.push('', ...notes, '', ...(await memoryLines(ways, count)))
  return section
}

const notes = [
  `merkletreejs and OpenZeppelin keep the whole tree, for proofs; the others keep nothing. OpenZeppelin's tree is a heap of sorted leaves,`,
  `another shape: unsorted, with left and right exchanged, it is RFC 6962's for a power of two of leaves, and so it is measured, with fewer`,
  'leaves.',
]

const isJavaScript = ({ name }: Taken) => name !== 'wasm' && name !== 'hash-wasm, reused' && name !== openZeppelin

/** The ways, each held to the reference: over small trees of every shape, and then at every run. */
export function checkedRootWays(ways: readonly RootWay[], count: number, leafBytes: number): Way[] {
  const leaves = madeLeaves(count, leafBytes)
  const wanted = new Map<number, Uint8Array>()
  const checked = ({ name, rootOf }: RootWay, size: number) => {
    const given = leaves.subarray(0, size * leafBytes)
    const root = wanted.get(size) ?? referenceRoot(given, leafBytes)
    wanted.set(size, root)
    return () => mustEqual(`${name}'s root of ${size} leaves`, rootOf(given, leafBytes), root)
  }
  return ways.map((way) => {
    for (const few of way.most ? [1, 2, 4, 64] : [1, 2, 3, 5, 6, 7, 100]) checked(way, few)()
    const size = Math.min(way.most ?? count, count)
    return { name: way.name, count: size, run: checked(way, size) }
  })
}

async function memoryLines(ways: readonly RootWay[], count: number): Promise<string[]> {
  const rows: string[][] = []
  for (const { name, most = count } of ways) {
    const { peakMb, inputMb } = await runAlone('merkle', [name, count, 118])
    rows.push([name, Math.min(most, count).toLocaleString('en-US'), brief(peakMb), brief(inputMb)])
  }
  return [
    'Peak memory in a process of its own, over what it held with the leaves (118 bytes each) before',
    '',
    ...table(['way', 'leaves', 'own MB', 'leaves MB'], rows),
  ]
}
