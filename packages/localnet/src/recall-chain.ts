// Reads back what a chain wrote down, and sums it up in a snapshot so that the next reading is short.
import type { EncodedAccount } from '@solana/kit'
import { accountFromStored, entryFromLanded, type JournalRecord, type SnapshotHead } from './chain-records.ts'
import type { HistoryEntry } from './history.ts'
import type { Journal } from './journal.ts'
import type { Boot } from './slot-clock.ts'
import type { Write } from './write-log.ts'

/** All a chain knew when it last wrote; empty for a new one. */
export interface ChainMemory {
  boots: Boot[]
  /** As they were left; programs last, because loading one looks at its data account. */
  accounts: EncodedAccount[]
  /** Oldest first. */
  entries: HistoryEntry[]
  interventions: Write[]
  /** Message hashes that never land again. */
  barred: string[]
  svmBlockhashes: number
}

/** Reads the snapshot and every journal line after it. Throws when the journal is shorter than its snapshot says. */
export function recall(journal: Journal): ChainMemory {
  const boots: Boot[] = []
  const entries: HistoryEntry[] = []
  const interventions: Write[] = []
  const barred: string[] = []
  const accounts = new Map<string, EncodedAccount>()
  let svmBlockhashes = 0
  let offset = 0

  const [headLine, ...entryLines] = journal.readSnapshot()?.trimEnd().split('\n') ?? []
  if (headLine !== undefined) {
    const head = JSON.parse(headLine) as SnapshotHead
    if (head.journalBytes > journal.size) throw new Error('the snapshot is newer than the journal: the journal lost lines')
    offset = head.journalBytes
    svmBlockhashes = head.svmBlockhashes
    boots.push(...head.boots)
    for (const stored of head.accounts) accounts.set(stored[0], accountFromStored(stored))
    interventions.push(...(head.interventions ?? []))
    barred.push(...(head.barred ?? []))
    for (const line of entryLines) {
      // Older snapshots do not say what was written.
      const entry = JSON.parse(line) as Omit<HistoryEntry, 'written'> & { written?: string[] }
      entries.push({ ...entry, written: entry.written ?? [] })
    }
  }

  for (const { text, position } of journal.lines(offset)) {
    const record = JSON.parse(text) as JournalRecord
    if (record.kind === 'boot') {
      boots.push({ slot: record.slot, timeMs: record.timeMs, slotMs: record.slotMs })
      continue
    }
    for (const stored of record.accounts) accounts.set(stored[0], accountFromStored(stored))
    if (record.kind === 'transaction') {
      entries.push(entryFromLanded(record, position))
      svmBlockhashes = record.svmBlockhashes
    }
    if (record.kind === 'intervention') {
      interventions.push({ slot: record.slot, written: record.accountsBefore.map(([key]) => key), position })
    }
    if (record.kind === 'fork') {
      for (const signature of record.signatures) {
        entries.splice(
          entries.findLastIndex((entry) => entry.signature === signature),
          1,
        )
      }
      if (record.barredMessageHash !== null) barred.push(record.barredMessageHash)
    }
  }
  const sorted = [...accounts.values()].sort((a, b) => Number(a.executable) - Number(b.executable))
  return { boots, entries, interventions, barred, svmBlockhashes, accounts: sorted }
}

/** Writes a snapshot that stands for the whole journal up to now. */
export function writeSnapshot(
  journal: Journal,
  state: Omit<SnapshotHead, 'kind' | 'journalBytes'>,
  entries: readonly HistoryEntry[],
): void {
  const head: SnapshotHead = { kind: 'snapshot', journalBytes: journal.size, ...state }
  journal.writeSnapshot(`${[head, ...entries].map((line) => JSON.stringify(line)).join('\n')}\n`)
}
