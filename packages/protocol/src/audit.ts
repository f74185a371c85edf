// The audit: every invariant of the money recomputed from the rows themselves, each with its figure.
import { z } from 'zod'

/** The invariants in the order of the report: ledger, payments, capacity, metering, statements, events. */
export const auditCodes = [
  'L1',
  'L2',
  'L3',
  'L4',
  'L5',
  'L6',
  'L7',
  'L8',
  'P1',
  'P2',
  'P3',
  'P5',
  'P6',
  'P7',
  'R1',
  'R3',
  'M1',
  'S1',
  'J1',
] as const
export const AuditCode = z.enum(auditCodes)
export type AuditCode = z.infer<typeof AuditCode>

/** One invariant: what must hold, what was counted, and what is wrong, each in words with up to three examples. */
export const AuditLine = z.strictObject({
  code: AuditCode,
  title: z.string(),
  holds: z.boolean(),
  figure: z.string(),
  wrong: z.array(z.string()),
})
export type AuditLine = z.infer<typeof AuditLine>

/** Answer of GET /api/admin/audit. `holds`: every line does. All of it is one instant of the database. */
export const AuditReport = z.strictObject({
  at: z.iso.datetime(),
  tookMs: z.int().min(0),
  entries: z.int().min(0),
  holds: z.boolean(),
  lines: z.array(AuditLine),
})
export type AuditReport = z.infer<typeof AuditReport>
