const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const

/** Seconds as people say them: `45 s`, `3 min`, `2 h`, `5 d`. */
export function sayDuration(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3]
  return `${Math.floor(Math.abs(seconds) / size)} ${unit}`
}

/** Seconds as a clock that runs down: `3:12`, `1:02:03`. */
export function sayCountdown(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds))
  const [hours, minutes, rest] = [Math.floor(left / 3_600), Math.floor((left % 3_600) / 60), left % 60]
  const two = (value: number): string => String(value).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** A moment as it is seen from now: `3 min ago`, `in 2 h`, `now`. */
export function sayRelative(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1_000)
  if (Math.abs(seconds) < 2) return 'now'
  return seconds < 0 ? `${sayDuration(seconds)} ago` : `in ${sayDuration(seconds)}`
}

const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
/** A moment, in the person's own time zone. */
export const sayAbsolute = (at: number): string => absolute.format(at)

/** Milliseconds: `8 ms`, `1.24 s`. */
export const sayMs = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1_000).toFixed(2)} s` : sayDuration(ms / 1_000)

/** Bytes, in units of 1,024: `12 KiB`, `1.5 GiB`. */
export function sayBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [bytes, 0]
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** Money with its currency, small amounts with enough digits to tell them from nothing. */
export function sayMoney(amount: number, currency: string | null): string {
  const digits = amount !== 0 && amount < 1 ? 3 : 2
  return `${amount.toFixed(digits)}${currency === null ? '' : ` ${currency}`}`
}

export const sayCount = (count: number): string => count.toLocaleString('en')
