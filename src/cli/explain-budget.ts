import type { App } from '../model/app.ts'
import { budgetNow } from '../model/budget.ts'

/** A warning for an app whose budget is nearly spent. */
export function sayBudgetLeft({ budget }: App, now: number): readonly string[] {
  const counts = budgetNow(budget, now)
  if (counts?.state !== 'near') return []
  return [`Nearly spent is ${counts.why}. Once it is, the app sleeps until ${counts.until}.`]
}

/** The budget in one line, if there is something to tell. */
export function sayBudgetState({ budget }: App, now: number): string | undefined {
  const counts = budgetNow(budget, now)
  if (counts === undefined) return undefined
  return counts.state === 'spent'
    ? `spent: ${counts.why}; it is not woken before ${counts.until}`
    : `nearly spent: ${counts.why}`
}
