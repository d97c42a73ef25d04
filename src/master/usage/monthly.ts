import type { Clock } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { reservedBy } from '../../model/placement.ts'
import { ownerOf, type Scope } from '../../model/scope.ts'
import { boundsOfMonth, monthOf, NOTHING_USED, type UsageCounters, type UsageMonth } from '../../model/usage.ts'
import type { UsageRecords } from './records.ts'

export type Owner = { readonly name: string; readonly apps: Scope }

/** How long an app would have run, and what it would have reserved, if it had never slept. */
export type AlwaysOn = { readonly awakeSeconds: number; readonly memoryGiBSeconds: number }
export type AppUsage = UsageCounters & {
  readonly app: AppName
  readonly owner: string | null
  readonly alwaysOn: AlwaysOn | null
}
export type MonthUsage = {
  readonly month: UsageMonth
  readonly from: string
  readonly until: string
  readonly items: readonly AppUsage[]
}

type Parts = {
  readonly records: Pick<UsageRecords, 'ofMonth'>
  /** The app; undefined: it was removed. */
  readonly find: (app: AppName) => Promise<App | undefined>
  /** The names of all apps. */
  readonly names: () => Promise<readonly AppName[]>
  readonly owners: () => Promise<readonly Owner[]>
  readonly clock: Clock
}

export type UsageOfMonth = ReturnType<typeof usageOfMonth>

/** Sums up what apps have used in a month; one that has used nothing is listed too, as long as it is there. */
export function usageOfMonth({ records, find, names, owners, clock }: Parts) {
  return async (wanted: UsageMonth | undefined, only: AppName | undefined): Promise<MonthUsage> => {
    const now = clock.wall()
    const month = wanted ?? monthOf(now)
    const { from, to } = boundsOfMonth(month)
    const until = Math.max(from, Math.min(to, now))
    const [used, all] = await Promise.all([records.ofMonth(month), owners()])
    const listed = only === undefined ? [...new Set([...used.keys(), ...(await names())])].toSorted() : [only]
    const found = await mapAtMost(16, listed, async (app): Promise<AppUsage[]> => {
      const live = await find(app)
      const counters = used.get(app)
      if (counters === undefined && (live === undefined || Date.parse(live.createdAt) >= until)) return []
      const alwaysOn =
        live === undefined
          ? null
          : alwaysOnOf({ createdAt: live.createdAt, reservedBytes: reservedBy(live.task) }, from, until)
      return [{ app, owner: ownerOf(app, all) ?? null, ...(counters ?? NOTHING_USED), alwaysOn }]
    })
    const iso = (at: number): string => new Date(at).toISOString()
    return { month, from: iso(from), until: iso(until), items: found.flat() }
  }
}

/** How long an app would have run since `from` if it had never slept, and what it would have reserved. */
export function alwaysOnOf(
  { createdAt, reservedBytes }: { readonly createdAt: string; readonly reservedBytes: number },
  from: number,
  until: number,
): AlwaysOn {
  const awakeSeconds = Math.max(0, until - Math.max(from, Date.parse(createdAt))) / 1_000
  return { awakeSeconds, memoryGiBSeconds: (awakeSeconds * reservedBytes) / 2 ** 30 }
}
