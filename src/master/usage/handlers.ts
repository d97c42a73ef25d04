import type { budgetCalls } from '../../api/budget-calls.ts'
import type { usageCalls } from '../../api/usage-calls.ts'
import { costOf, type Prices } from '../../model/prices.ts'
import { isInScope } from '../../model/scope.ts'
import type { Handlers } from '../call.ts'
import { scopeOf } from '../owners/permission.ts'
import { mustBeNode } from '../permission.ts'
import type { Budgets } from './budgets.ts'
import type { AppUsage, UsageOfMonth } from './monthly.ts'
import type { UsageRecords } from './records.ts'

export type UsageParts = {
  readonly records: UsageRecords
  readonly ofMonth: UsageOfMonth
  readonly budgets: Budgets
  readonly prices: Prices | undefined
}

/** The handlers of the calls about what apps have used. */
export function usageHandlers({
  records,
  ofMonth,
  budgets,
  prices,
}: UsageParts): Pick<Handlers, keyof typeof usageCalls | keyof typeof budgetCalls> {
  const withCost = (item: AppUsage) => ({
    ...item,
    cost: prices === undefined ? null : costOf(item, prices),
    alwaysOnCost: prices === undefined || item.alwaysOn === null ? null : costOf({ ...item, ...item.alwaysOn }, prices),
  })
  return {
    async reportUsage({ params: { node }, body: { counter, apps } }, { caller }) {
      mustBeNode(caller, node)
      await records.take(node, counter, apps)
      budgets.usedSome()
    },
    getUsage: async ({ query: { month, app } }) => {
      const { items, ...of } = await ofMonth(month, app)
      return { value: { ...of, items: items.map(withCost), currency: prices?.currency ?? null } }
    },
    setBudget: async ({ params: { kind, name }, body }) => ({ value: await budgets.set(kind, name, body) }),
    removeBudget: ({ params: { kind, name } }) => budgets.remove(kind, name),
    async listBudgets(_, { caller }) {
      const scope = scopeOf(caller)
      const isShown = ({ kind, name }: { kind: string; name: string }): boolean =>
        scope === undefined || (kind === 'app' ? isInScope(scope, name) : name === caller?.name)
      return { value: { items: (await budgets.list()).filter(isShown), currency: prices?.currency ?? null } }
    },
  }
}
