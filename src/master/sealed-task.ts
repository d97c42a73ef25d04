import { z } from 'zod'
import { TaskSchema } from '../api/schemas.ts'
import type { Seals } from '../lib/seals.ts'
import type { TaskDefinition } from '../model/task.ts'
import { storedWithLater, withLater } from './later-fields.ts'

/** The stored form of a task definition: its environment is encrypted. Documents of earlier versions have it in clear. */
type SealedTask = Omit<TaskDefinition, 'env'> & { readonly sealedEnv: string }
const SealedSchema = z.looseObject({ app: z.string(), revision: z.int(), sealedEnv: z.string() })

// The context includes the revision: an environment that somebody copies to another document cannot be decrypted there.
const contextOf = (app: string, revision: number): string => `the environment of ${app}, revision ${revision}`

export function sealTask({ env, ...task }: TaskDefinition, seals: Seals): SealedTask {
  return { ...storedWithLater(task), sealedEnv: seals.seal(JSON.stringify(env), contextOf(task.app, task.revision)) }
}

/** The task definition from its stored form; fails with `secret-unreadable`. */
export function openTask(stored: unknown, seals: Seals): TaskDefinition {
  const sealed = SealedSchema.safeParse(stored)
  if (!sealed.success) return TaskSchema.parse(stored)
  const { sealedEnv, ...task } = sealed.data
  const opened = { ...task, env: JSON.parse(seals.open(sealedEnv, contextOf(task.app, task.revision))) }
  return withLater(TaskSchema.parse(opened), opened, TaskSchema)
}

/** Whether the stored task definition is encrypted with the newest key. */
export function isSealed(stored: unknown, seals: Seals): boolean {
  const sealed = SealedSchema.safeParse(stored)
  return sealed.success && seals.isCurrent(sealed.data.sealedEnv)
}
