// Money on the screen: exact dollars from atoms, and the price per minute beside the price per hour.
import { formatUsdc } from '@flow402/protocol/money'

/** Dollars of an amount in atoms, exact, with tabular digits. */
export function Usd({ atoms, minDecimals = 2, testId }: { atoms: bigint | string; minDecimals?: number; testId?: string }) {
  return (
    <span className="num whitespace-nowrap" data-testid={testId}>
      ${formatUsdc(BigInt(atoms), minDecimals)}
    </span>
  )
}

/** A sixtieth of an hourly price with three significant digits, marked ≈ when that is not exact: 1000n -> "≈$0.0000166". */
export function perMinuteText(atomsPerHour: bigint): string {
  const picoDollars = (atomsPerHour * 1_000_000n) / 60n
  const whole = picoDollars / 10n ** 12n
  const decimals = (picoDollars % 10n ** 12n).toString().padStart(12, '0')
  const firstDigit = whole > 0n ? 0 : decimals.search(/[1-9]/)
  const kept = decimals.slice(0, Math.max(2, firstDigit + 3))
  const isExact = (atomsPerHour * 1_000_000n) % 60n === 0n && /^0*$/.test(decimals.slice(kept.length))
  return `${isExact ? '' : '≈'}$${whole}.${kept.replace(/0+$/, '').padEnd(2, '0')}`
}

/** "$0.60 /h" in the foreground, the minute beside or below it. */
export function HourlyPrice({ atomsPerHour, per, isStacked = false }: { atomsPerHour: bigint; per?: string; isStacked?: boolean }) {
  return (
    <span className={isStacked ? 'flex flex-col' : 'inline-flex flex-wrap items-baseline gap-x-2'}>
      <span className="whitespace-nowrap">
        <strong className="num font-semibold">${formatUsdc(atomsPerHour)}</strong>
        <span className="text-ink-2">/{per ? `${per}-hour` : 'hour'}</span>
      </span>
      <span className="num whitespace-nowrap text-ink-3 text-xs">{perMinuteText(atomsPerHour)}/min</span>
    </span>
  )
}
