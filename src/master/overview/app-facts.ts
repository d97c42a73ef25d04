import { z } from 'zod'
import type { App } from '../../model/app.ts'
import type { BudgetState } from '../../model/budget.ts'
import type { AppName } from '../../model/names.ts'
import type { Pause } from '../../model/pause.ts'
import { reservedBy } from '../../model/placement.ts'
import { type Duration, toBytes } from '../../model/quantities.ts'

/** What a list of apps shows of an app's document: little, since the master has it in memory for each app. */
export type AppFacts = {
  readonly app: AppName
  /** What a search looks through: the name and the domains. */
  readonly text: string
  /** The scheme, where the app has a rule for it, and the first hostname. */
  readonly host: { readonly isSecure: boolean; readonly name: string } | undefined
  readonly revision: number
  readonly idleAfter: Duration | 'never'
  readonly budget: BudgetState | undefined
  readonly paused: Pause | undefined
  readonly createdAt: string
  readonly reservedBytes: number
  readonly volumeBytes: number | undefined
}

type Needed = Pick<App, 'name' | 'domains' | 'createdAt' | 'budget' | 'paused' | 'access'> & {
  readonly task: Pick<App['task'], 'revision' | 'volume' | 'limits' | 'sleep'>
}

/** The few fields that are needed: the whole schema, and decrypting environments, would take ten times as long for all apps. */
const StoredSchema = z.object({
  name: z.string(),
  domains: z.array(z.string()),
  createdAt: z.string(),
  budget: z.object({ state: z.enum(['near', 'spent']), why: z.string(), until: z.string() }).optional(),
  paused: z.object({ at: z.string(), by: z.string(), why: z.string().optional() }).optional(),
  access: z.object({ https: z.string().optional() }).optional(),
  task: z.object({
    revision: z.int(),
    volume: z.object({ size: z.string() }).optional(),
    limits: z.object({ memory: z.string(), reserve: z.string().optional() }),
    sleep: z.object({ idleAfter: z.string() }),
  }),
})

/** The facts from a stored document; undefined: the app was removed, or the document is no app. */
export function storedFacts(value: unknown): AppFacts | undefined {
  const { data } = StoredSchema.safeParse(value)
  return data === undefined ? undefined : factsOf(data as unknown as Needed)
}

export function factsOf({ name, domains, createdAt, budget, paused, access, task }: Needed): AppFacts {
  const [first] = domains
  return {
    app: name,
    text: [name, ...domains].join(' '),
    host: first === undefined ? undefined : { isSecure: access?.https === 'redirect', name: first },
    revision: task.revision,
    idleAfter: task.sleep.idleAfter,
    budget,
    paused,
    createdAt,
    reservedBytes: reservedBy(task),
    volumeBytes: task.volume && toBytes(task.volume.size),
  }
}
