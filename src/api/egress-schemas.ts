import { z } from 'zod'
import { egress } from '../model/egress.ts'
import { parsed } from './parsed.ts'

export const EgressSchema = parsed('Egress', 'what an app may reach', '10.0.0.5:5432', egress)

/** What an app may reach, as its definition says. */
export const EgressListSchema = z
  .array(EgressSchema)
  .max(100)
  .optional()
  .describe(
    'what the app may reach besides the internet and its own hostnames; domains: of the internet, these alone; left out: nothing',
  )

/** Fields of the view of an instance. */
export const refusalFields = {
  refusedConnections: z.object({ at: z.iso.datetime(), count: z.int() }).optional(),
  refusedNames: z
    .array(z.object({ to: z.string(), why: z.string(), at: z.iso.datetime(), count: z.int() }))
    .optional()
    .describe('hosts that were refused to it because of their names, latest last'),
}
