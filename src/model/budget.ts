import { sayBytes, sayMs } from './quantities.ts'
import type { UsageCounters, UsageMonth } from './usage.ts'

/** What an app, or all apps of an owner, may use in a month. */
export type BudgetLimits = {
  readonly cost?: number | undefined
  readonly awakeHours?: number | undefined
  readonly cpuHours?: number | undefined
  readonly requests?: number | undefined
  readonly egressBytes?: number | undefined
}
export const BUDGET_KINDS = ['app', 'owner'] as const
export type BudgetKind = (typeof BUDGET_KINDS)[number]

/** From this share on a budget is nearly spent. */
const NEAR = 0.8

/**
 * How an app stands with its budget, if that is worth telling. `spent`: no node wakes it before `until`. It is a part of the app's document: nodes know it while
 * no master answers.
 */
export type BudgetState = {
  readonly state: 'near' | 'spent'
  readonly why: string
  readonly until: string
}

type Used = UsageCounters & { readonly cost: number | undefined }
type Standing = { readonly share: number; readonly says: string }

/** The limit that is spent most. A cost without prices is not known, and not limited. */
export function standingOf(limits: BudgetLimits, used: Used, currency: string): Standing | undefined {
  const { cost, awakeHours, cpuHours, requests, egressBytes } = limits
  const hours = (seconds: number): string => sayMs(seconds * 1_000)
  const all: (Standing | false | undefined)[] = [
    cost !== undefined &&
      used.cost !== undefined && {
        share: used.cost / cost,
        says: `${used.cost.toFixed(2)} of ${cost} ${currency}`,
      },
    awakeHours !== undefined && {
      share: used.awakeSeconds / 3_600 / awakeHours,
      says: `${hours(used.awakeSeconds)} of ${awakeHours}h awake`,
    },
    cpuHours !== undefined && {
      share: used.cpuSeconds / 3_600 / cpuHours,
      says: `${hours(used.cpuSeconds)} of ${cpuHours}h of processor time`,
    },
    requests !== undefined && { share: used.requests / requests, says: `${used.requests} of ${requests} requests` },
    egressBytes !== undefined && {
      share: used.egressBytes / egressBytes,
      says: `${sayBytes(used.egressBytes)} of ${sayBytes(egressBytes)} sent`,
    },
  ]
  return all.filter(one => one !== undefined && one !== false).toSorted((a, b) => b.share - a.share)[0]
}

export const stateOf = (share: number): BudgetState['state'] | undefined =>
  share >= 1 ? 'spent' : share >= NEAR ? 'near' : undefined

/** The budget of an app, or that of its owner, in words that stay the same while the state does. */
export const sayBudget = (kind: BudgetKind, name: string, month: UsageMonth, says: string): string =>
  `the budget of ${kind === 'app' ? 'the app' : `the owner ${name}`} for ${month}: ${says}`

/** The state if it still counts at this moment of the wall clock. */
export const budgetNow = (budget: BudgetState | undefined, wall: number): BudgetState | undefined =>
  budget !== undefined && wall < Date.parse(budget.until) ? budget : undefined

/** Whether both states say the same, at this moment of the wall clock: the amounts in words may differ. */
export const isSameBudget = (one: BudgetState | undefined, other: BudgetState | undefined, wall: number): boolean => {
  const [a, b] = [budgetNow(one, wall), budgetNow(other, wall)]
  const who = (why: string | undefined): string | undefined => why?.split(':', 1)[0]
  return a?.state === b?.state && a?.until === b?.until && who(a?.why) === who(b?.why)
}
