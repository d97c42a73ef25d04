import { z } from 'zod'
import { MOST_COMPANIONS } from '../model/companions.ts'
import type { CompanionView } from '../model/instance.ts'
import { appName } from '../model/names.ts'
import { parsed } from './parsed.ts'

const name = parsed('CompanionName', 'the name of another app', 'blog-db', appName)

/** The apps that an app uses. */
export const UsesSchema = z
  .array(name)
  .max(MOST_COMPANIONS)
  .refine(names => new Set(names).size === names.length, { error: 'names an app twice' })
  .describe(
    'apps that are woken before it, in this order, stay awake while it is awake, and are reached by their names, such as blog-db:5432',
  )

/** Fields of an app beside its definition. */
export const companionFields = {
  usedBy: z.array(name).optional().describe('apps that use it'),
  permits: z.record(z.string(), z.string()).optional().describe('for nodes: the permits of the apps that it uses'),
}

const seen = { at: z.iso.datetime(), fault: z.string(), count: z.int() }
/** Fields of the view of an instance. */
export const connectionViewFields = {
  companions: z
    .array(z.object({ app: name, isHeld: z.boolean(), problem: z.string().optional() }) as z.ZodType<CompanionView>)
    .optional()
    .describe('the apps that it uses'),
  badConnection: z.object(seen).optional().describe('the last connection to a port on which it does not listen'),
}
