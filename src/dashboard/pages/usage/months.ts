/** This month of UTC and those before it, newest first: `2026-12`. */
export const lastMonths = (now: Date, count: number): readonly string[] =>
  Array.from({ length: count }, (_, back) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7),
  )

/** A month in words: `December 2026`. What is none stays as it is. */
export function sayMonth(month: string): string {
  const at = new Date(`${month}-01T00:00:00Z`)
  if (Number.isNaN(at.getTime())) return month
  return at.toLocaleDateString('en', { month: 'long', year: 'numeric', timeZone: 'UTC' })
}
