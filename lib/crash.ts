// Crash points: named places at which a fault test kills the process for real; without a name they do nothing.

/** The places, in the order in which a rental passes them. */
export type CrashName = 'claimed' | 'signed' | 'broadcast' | 'landed' | 'paid' | 'assigned' | 'transfer_signed' | 'transfer_sent'
export type CrashPoint = (name: CrashName) => void

/** A crash point that ends the process with SIGKILL at one name (FLOW402_CRASH_AT, local chain only). */
export function crashAt(name: string | undefined): CrashPoint {
  return (passed) => {
    if (passed === name) process.kill(process.pid, 'SIGKILL')
  }
}
