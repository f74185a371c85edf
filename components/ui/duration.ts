// Durations in words and as a clock.

/** Minutes for people: 90 -> "1 h 30 min", 2880 -> "2 d". */
export function minutesText(minutes: number): string {
  const days = Math.floor(minutes / 1440)
  const hours = Math.floor((minutes % 1440) / 60)
  const parts = [days && `${days} d`, hours && `${hours} h`, minutes % 60 && `${minutes % 60} min`].filter(Boolean)
  return parts.length > 0 ? parts.join(' ') : '0 min'
}

/** Seconds as a clock: 65 -> "1:05", 3665 -> "1:01:05". */
export function clockText(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}
