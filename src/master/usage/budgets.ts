import { z } from 'zod'
import { BudgetLimitsSchema } from '../../api/budget-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import {
  type BudgetKind,
  type BudgetLimits,
  type BudgetState,
  sayBudget,
  standingOf,
  stateOf,
} from '../../model/budget.ts'
import type { AppName } from '../../model/names.ts'
import { costOf, type Prices } from '../../model/prices.ts'
import { ownerOf } from '../../model/scope.ts'
import {
  boundsOfMonth,
  monthOf,
  NOTHING_USED,
  sumOfUsage,
  type UsageCounters,
  type UsageMonth,
} from '../../model/usage.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'
import type { Owner } from './monthly.ts'
import type { UsageRecords } from './records.ts'

type Parts = {
  readonly storage: Storage
  readonly usage: Pick<UsageRecords, 'ofMonth'>
  readonly owners: () => Promise<readonly Owner[]>
  readonly names: () => Promise<readonly AppName[]>
  /** Writes how an app stands into its document, if that is another state than before; fails with `app-not-found`. */
  readonly setState: (app: AppName, state: BudgetState | undefined) => Promise<void>
  readonly prices: Prices | undefined
  readonly clock: Clock
  readonly log: Log
}

type Budget = { readonly kind: BudgetKind; readonly name: string; readonly limits: BudgetLimits }
export type BudgetStanding = Budget & {
  readonly share: number
  readonly says: string
  readonly state: 'ok' | 'near' | 'spent'
}
type ComparedBudget = BudgetStanding & { readonly month: UsageMonth; readonly apps: ReadonlySet<AppName> }
export type Budgets = ReturnType<typeof appBudgets>

const DocumentSchema = z.object({ limits: BudgetLimitsSchema })
const MOST = 10_000
const WRITTEN_AGAIN_AFTER_MS = 600_000

/** What apps and owners may use in a month, in `budgets/<kind>/<name>.json`. Masters compare it with what is used whenever a node reports. */
export function appBudgets({ storage, usage, owners, names, setState, prices, clock, log }: Parts) {
  const turn = new Mutex()
  const keyOf = (kind: BudgetKind, name: string): string => `budgets/${kind}/${name}.json`
  /** What this master has written into apps' documents, and when. Another one may have written since, so it is written again later. */
  const written = new Map<AppName, { readonly as: string; readonly at: number }>()
  const kept = new Map<string, { readonly etag: string; readonly budget: Budget }>()

  async function all(): Promise<readonly Budget[]> {
    const versions = await storage.versions('budgets/', { limit: MOST })
    for (const key of kept.keys()) if (!versions.has(key)) kept.delete(key)
    const changed = [...versions].filter(([key, etag]) => kept.get(key)?.etag !== etag)
    await mapAtMost(16, changed, async ([key]) => {
      const stored = await storage.get(key)
      const [, kind = '', name = ''] = /^budgets\/([^/]+)\/(.+)\.json$/.exec(key) ?? []
      if (stored === undefined) return
      const budget = { kind: kind as BudgetKind, name, limits: DocumentSchema.parse(stored.value).limits }
      kept.set(key, { etag: stored.etag, budget })
    })
    return [...kept].toSorted(([a], [b]) => a.localeCompare(b)).map(([, { budget }]) => budget)
  }

  /** How each budget stands, and which of the apps it is for. */
  async function standings(): Promise<readonly ComparedBudget[]> {
    const budgets = await all()
    if (budgets.length === 0) return []
    const month = monthOf(clock.wall())
    const [used, known, those] = await Promise.all([usage.ofMonth(month), owners(), names()])
    const apps = [...new Set([...used.keys(), ...those])]
    return budgets.map(budget => {
      const of = apps.filter(app => (budget.kind === 'app' ? app === budget.name : ownerOf(app, known) === budget.name))
      const sum = of.reduce<UsageCounters>((all, app) => sumOfUsage(all, used.get(app) ?? {}), NOTHING_USED)
      const cost = prices && costOf(sum, prices)
      const standing = standingOf(budget.limits, { ...sum, cost }, prices?.currency ?? '')
      const { share = 0, says = 'no prices are set (SHADOW_PRICES)' } = standing ?? {}
      return { ...budget, month, share, says, state: stateOf(share) ?? 'ok', apps: new Set(of) }
    })
  }

  /** Compares all budgets with what is used, and writes into the apps' documents how they stand. */
  async function compare(only?: ReadonlySet<AppName>): Promise<void> {
    const standing = await standings()
    const month = monthOf(clock.wall())
    const until = new Date(boundsOfMonth(month).to).toISOString()
    const worst = new Map<AppName, BudgetState>()
    for (const { kind, name, share, says, apps } of standing.toSorted((a, b) => b.share - a.share)) {
      const state = stateOf(share)
      if (state === undefined) continue
      for (const app of apps)
        if (!worst.has(app)) worst.set(app, { state, why: sayBudget(kind, name, month, says), until })
    }
    const concerned = new Set([...standing.flatMap(({ apps }) => [...apps]), ...(only ?? [])])
    await mapAtMost(16, [...concerned], async app => {
      const state = worst.get(app)
      const as = `${state?.state} ${state?.until}`
      const before = written.get(app)
      if (only === undefined && before?.as === as && clock.now() - before.at < WRITTEN_AGAIN_AFTER_MS) return
      await setState(app, state).catch(error => {
        if (!isFailure(error, 'app-not-found')) throw error // it was removed, and has used something before
      })
      written.set(app, { as, at: clock.now() })
    })
  }

  return {
    standings,

    /** Compares in the background, one comparison at a time: a node has reported that its apps have used something. */
    usedSome(): void {
      turn
        .take(async () => {
          if ((await all()).length > 0) await compare()
        })
        .catch(cause => log.warn('budgets not compared; the next report does it', { cause }))
    },

    async list(): Promise<readonly BudgetStanding[]> {
      return (await standings()).map(({ apps: _, month: __, ...standing }) => standing)
    },

    async set(kind: BudgetKind, name: string, limits: BudgetLimits): Promise<BudgetStanding> {
      const key = keyOf(kind, name)
      await retryOnConflict(async () => {
        const stored = await storage.get(key)
        await (stored === undefined ? storage.create(key, { limits }) : storage.update(key, { limits }, stored.etag))
      })
      log.info('budget set', { kind, name, ...limits })
      await turn.take(() => compare(new Set()))
      const standing = (await this.list()).find(one => one.kind === kind && one.name === name)
      if (standing === undefined) throw new ShadowError('changed', `the budget of ${name} was removed meanwhile`)
      return standing
    },

    async remove(kind: BudgetKind, name: string): Promise<void> {
      const found = (await standings()).find(one => one.kind === kind && one.name === name)
      if (found === undefined)
        throw new ShadowError('not-found', `the ${kind} ${name} has no budget`, { hint: 'shadow budget ls' })
      await storage.remove(keyOf(kind, name))
      log.info('budget removed', { kind, name })
      await turn.take(() => compare(found.apps))
    },
  }
}
