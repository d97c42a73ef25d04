import type { AppEvent } from '../../../../model/timeline.ts'

export type Day = { readonly key: string; readonly label: string; readonly events: readonly AppEvent[] }

const long = new Intl.DateTimeFormat('en', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' })

/** The events by the days of the person's time zone, in the order they come in. */
export function daysOf(events: readonly AppEvent[], now: number): readonly Day[] {
  const days: { key: string; label: string; events: AppEvent[] }[] = []
  for (const event of events) {
    const at = new Date(event.at)
    const key = keyOf(at)
    const last = days.at(-1)
    if (last?.key === key) last.events.push(event)
    else days.push({ key, label: labelOf(at, new Date(now)), events: [event] })
  }
  return days
}

const keyOf = (at: Date): string => `${at.getFullYear()}-${at.getMonth() + 1}-${at.getDate()}`

function labelOf(at: Date, now: Date): string {
  if (keyOf(at) === keyOf(now)) return 'Today'
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1)
  return keyOf(at) === keyOf(yesterday) ? 'Yesterday' : long.format(at)
}

type Pages = { readonly items: readonly AppEvent[]; readonly next: string | null }

/**
 * The newest page, read again, in front of the older events that were read before. Events of the new page replace those of the same id.
 * A page that has nothing in common with those before takes their place, because events between them may be missing.
 */
export function mergeNewest(before: Pages, page: Pages): Pages {
  const known = new Set(before.items.map(({ id }) => id))
  const oldest = page.items.findLast(({ id }) => known.has(id))
  if (oldest === undefined) return page
  const ids = new Set(page.items.map(({ id }) => id))
  const at = before.items.findIndex(({ id }) => id === oldest.id)
  const older = before.items.slice(at + 1).filter(({ id }) => !ids.has(id))
  // All that was read before is within the new page: its own end is the end.
  return { items: [...page.items, ...older], next: older.length === 0 ? page.next : before.next }
}

/** An older page behind those that were read before. */
export function addOlder(before: Pages, page: Pages): Pages {
  const known = new Set(before.items.map(({ id }) => id))
  return { items: [...before.items, ...page.items.filter(({ id }) => !known.has(id))], next: page.next }
}
