import type { Budgets } from '../usage/budgets.ts'
import type { Source } from './source.ts'

const NAME = 'budget'
const LOOKED_EVERY_MS = 60_000

/** Budgets of which 80 % are spent, or all. */
export function budgetSource({ standings }: Pick<Budgets, 'standings'>): Source {
  return {
    name: NAME,
    everyMs: LOOKED_EVERY_MS,
    async look() {
      const found = await standings()
      const conditions = found.flatMap(({ kind, name, state, share, says, month, apps }) => {
        if (state === 'ok') return []
        const of = kind === 'app' ? name : `the owner ${name}`
        return {
          key: `${NAME} ${kind} ${name}`,
          mark: `${state} ${month}`,
          at: undefined,
          kind: 'budget' as const,
          ...(kind === 'app' ? { app: [...apps].find(app => app === name) } : {}),
          apps: [...apps],
          subject: `the budget of ${of} is ${state === 'near' ? 'nearly spent' : 'spent'}`,
          detail: `${Math.floor(100 * share)} % of the budget for ${month}: ${says}`,
          code: state === 'spent' ? 'budget-spent' : undefined,
        }
      })
      return { conditions }
    },
  }
}
