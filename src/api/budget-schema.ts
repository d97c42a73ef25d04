import { z } from 'zod'

/** A part of the document of an app. */
export const BudgetStateSchema = z.object({
  state: z.enum(['near', 'spent']).describe('spent: no node wakes the app before until'),
  why: z.string(),
  until: z.iso.datetime(),
})
