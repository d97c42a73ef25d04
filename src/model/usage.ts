/**
 * What an app has used. All of it only grows. Memory is what the app reserves (its limit) while its container runs, because that is what no other
 * app can have meanwhile. Sent bytes are all that the container has sent: answers, and what it sends on its own.
 */
export type UsageCounters = {
  readonly awakeSeconds: number
  readonly memoryGiBSeconds: number
  readonly cpuSeconds: number
  readonly volumeGiBHours: number
  readonly backupGiBHours: number
  readonly requests: number
  readonly egressBytes: number
}

/** Every counter, in the order in which tables show them. */
export const USAGE_COUNTERS = [
  'awakeSeconds',
  'memoryGiBSeconds',
  'cpuSeconds',
  'volumeGiBHours',
  'backupGiBHours',
  'requests',
  'egressBytes',
] as const satisfies readonly (keyof UsageCounters)[]

export const NOTHING_USED: UsageCounters = {
  awakeSeconds: 0,
  memoryGiBSeconds: 0,
  cpuSeconds: 0,
  volumeGiBHours: 0,
  backupGiBHours: 0,
  requests: 0,
  egressBytes: 0,
}

const combined = (
  one: Partial<UsageCounters>,
  other: Partial<UsageCounters>,
  by: (a: number, b: number) => number,
): UsageCounters =>
  Object.fromEntries(USAGE_COUNTERS.map(name => [name, by(one[name] ?? 0, other[name] ?? 0)])) as UsageCounters

export const sumOfUsage = (one: Partial<UsageCounters>, other: Partial<UsageCounters>): UsageCounters =>
  combined(one, other, (a, b) => a + b)

/** The later one of two states of the same counters: so a write that comes late, or twice, changes nothing. */
export const laterUsage = (one: Partial<UsageCounters>, other: Partial<UsageCounters>): UsageCounters =>
  combined(one, other, Math.max)

/** A day of accounting, `2026-12-31`, and a month, `2026-12`. Both are of UTC. */
export type UsageDay = string
export type UsageMonth = string

const DAY_MS = 86_400_000

/** The day of a moment, in milliseconds since the epoch. */
export const dayOf = (wall: number): UsageDay => new Date(wall).toISOString().slice(0, 10)
export const monthOf = (wall: number): UsageMonth => new Date(wall).toISOString().slice(0, 7)

/** When the month begins and ends, in milliseconds since the epoch. */
export function boundsOfMonth(month: UsageMonth): { readonly from: number; readonly to: number } {
  const from = new Date(`${month}-01T00:00:00.000Z`)
  return { from: from.getTime(), to: Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 1) }
}

/** The days from one moment to another, each with its share of the time between; the shares add up to 1. */
export function sharesByDay(from: number, to: number): readonly { readonly day: UsageDay; readonly share: number }[] {
  if (to <= from || dayOf(from) === dayOf(to)) return [{ day: dayOf(to), share: 1 }]
  const shares: { day: UsageDay; share: number }[] = []
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / DAY_MS) + 1) * DAY_MS)
    shares.push({ day: dayOf(at), share: (end - at) / (to - from) })
    at = end
  }
  return shares
}
