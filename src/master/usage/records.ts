import { z } from 'zod'
import { UsageCountersSchema } from '../../api/usage-calls.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { dayOf, laterUsage, sumOfUsage, type UsageCounters, type UsageDay, type UsageMonth } from '../../model/usage.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage, Stored } from '../storage/storage.ts'

/** `usage/<month>/<writer>/<day>.json`: what the apps have used on that day, by the name of each counter that counted it. */
const DocumentSchema = z.object({
  counters: z.record(z.string(), z.record(z.string(), UsageCountersSchema)),
  /** Of the masters: up to when it is counted. */
  at: z.iso.datetime().optional(),
})
type Document = z.output<typeof DocumentSchema>

/** A node, or the masters together. No node has this name, since it is no DNS label. */
export type UsageWriter = NodeName | typeof MASTERS
export const MASTERS = '_masters'

export type UsageEntry = { readonly day: UsageDay; readonly app: AppName; readonly used: UsageCounters }

export type UsageRecords = ReturnType<typeof usageRecords>

const PAGE = 1_000
const AT_ONCE = 16
const MOST_KEPT = 5_000

/** The documents of what apps have used: one for each day and node, which that node alone writes, by way of any master. */
export function usageRecords(storage: Storage) {
  const keyOf = (writer: UsageWriter, day: UsageDay): string =>
    `usage/${day.slice(0, 7)}/${writer}/${day.slice(8)}.json`
  /** Documents by key, with the version that was read: those of days that are over are read once. */
  const kept = new Map<string, { readonly etag: string; readonly document: Document }>()
  const documentOf = (stored: Stored | undefined): Document =>
    stored === undefined ? { counters: {} } : DocumentSchema.parse(stored.value)

  async function read(key: string, etag: string | undefined): Promise<Document> {
    const before = kept.get(key)
    if (before !== undefined && before.etag === etag) return before.document
    const stored = await storage.get(key)
    const document = documentOf(stored)
    if (kept.size >= MOST_KEPT) kept.clear()
    if (stored !== undefined) kept.set(key, { etag: stored.etag, document })
    return document
  }

  return {
    /** Takes states of counters. Of two states of one counter the later one counts, in whichever order they come. */
    async take(writer: UsageWriter, counter: string, entries: readonly UsageEntry[]): Promise<void> {
      const byDay = Map.groupBy(entries, ({ day }) => day)
      for (const [day, ofDay] of byDay)
        await retryOnConflict(async () => {
          const key = keyOf(writer, day)
          const stored = await storage.get(key)
          const document = documentOf(stored)
          const apps = { ...document.counters[counter] }
          for (const { app, used } of ofDay) apps[app] = laterUsage(apps[app] ?? {}, used)
          const next: Document = { ...document, counters: { ...document.counters, [counter]: apps } }
          await (stored === undefined ? storage.create(key, next) : storage.update(key, next, stored.etag))
        })
    },

    /**
     * Adds what the masters count themselves, from the time up to which it was counted before to `now`. `usedIn` says what an app has used in so many
     * milliseconds. Of several masters that do it at once, one succeeds; the others fail with `changed`. A gap longer than `mostMs` is not counted.
     */
    async addOfMasters(
      now: number,
      { leastMs, mostMs }: { leastMs: number; mostMs: number },
      usedIn: (ms: number) => ReadonlyMap<AppName, Partial<UsageCounters>>,
    ): Promise<void> {
      const key = keyOf(MASTERS, dayOf(now))
      const stored = await storage.get(key)
      const document = documentOf(stored)
      const before =
        stored === undefined ? documentOf(await storage.get(keyOf(MASTERS, dayOf(now - mostMs)))) : document
      const sinceMs = before.at === undefined ? mostMs + 1 : now - Date.parse(before.at)
      if (sinceMs < leastMs) return
      const apps = { ...document.counters[MASTERS] }
      if (sinceMs <= mostMs) for (const [app, used] of usedIn(sinceMs)) apps[app] = sumOfUsage(apps[app] ?? {}, used)
      const next: Document = { counters: { [MASTERS]: apps }, at: new Date(now).toISOString() }
      await (stored === undefined ? storage.create(key, next) : storage.update(key, next, stored.etag))
    },

    /** What each app has used in the month. */
    async ofMonth(month: UsageMonth): Promise<ReadonlyMap<AppName, UsageCounters>> {
      const sums = new Map<AppName, UsageCounters>()
      let after: string | undefined
      do {
        const page = await storage.versions(`usage/${month}/`, { after, limit: PAGE })
        const documents = await mapAtMost(AT_ONCE, [...page], ([key, etag]) => read(key, etag))
        for (const { counters } of documents)
          for (const apps of Object.values(counters))
            for (const [name, used] of Object.entries(apps))
              sums.set(name as AppName, sumOfUsage(sums.get(name as AppName) ?? {}, used))
        after = page.size === PAGE ? [...page.keys()].at(-1) : undefined
      } while (after !== undefined)
      return sums
    },
  }
}
