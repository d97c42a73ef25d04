import { z } from 'zod'
import { BUDGET_KINDS } from '../model/budget.ts'
import { admin, type Call } from './call-shape.ts'
import { NodeNameSchema } from './schemas.ts'

const positive = z.number().positive()
export const BudgetLimitsSchema = z.strictObject({
  cost: positive.optional().describe('by the prices of the masters (SHADOW_PRICES)'),
  awakeHours: positive.optional(),
  cpuHours: positive.optional(),
  requests: z.int().positive().optional(),
  egressBytes: positive.optional(),
})

const BudgetSchema = z
  .object({
    kind: z.enum(BUDGET_KINDS),
    name: z.string().describe('of the app, or of the owner'),
    limits: z.object(BudgetLimitsSchema.shape),
    share: z.number().describe('of the limit that is spent most, in this month'),
    says: z.string(),
    state: z.enum(['ok', 'near', 'spent']),
  })
  .meta({ id: 'Budget' })

const params = z.strictObject({ kind: z.enum(BUDGET_KINDS), name: NodeNameSchema })

/** The calls about budgets: what an app, or all apps of an owner together, may use in a month of UTC. */
export const budgetCalls = {
  setBudget: {
    says: 'set what an app, or all apps of an owner together, may use in a month; from 80 % on its apps say so, and once a limit is reached they are put to sleep, and are not woken before the next month',
    params,
    body: BudgetLimitsSchema.refine(limits => Object.keys(limits).length > 0, 'must have a limit'),
    answer: BudgetSchema,
    may: admin,
  },
  removeBudget: { says: 'remove a budget; what it kept asleep may be woken', params, answer: 'nothing', may: admin },
  listBudgets: {
    says: 'list budgets, with how much of them is spent in this month',
    answer: z.object({ items: z.array(BudgetSchema), currency: z.string().nullable() }),
    may: admin,
  },
} satisfies Record<string, Call>
