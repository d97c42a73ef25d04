import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'

/** A string schema that parses by a rule of the model; the rule's own message becomes the fault. */
export function parsed<T extends string>(id: string, description: string, example: string, parse: (text: string) => T) {
  return z
    .string()
    .transform((text, context): T => {
      try {
        return parse(text)
      } catch (error) {
        if (!(error instanceof ShadowError)) throw error
        context.addIssue({ code: 'custom', message: error.message })
        return z.NEVER
      }
    })
    .meta({ id, description, example, override: { type: 'string' } })
}
