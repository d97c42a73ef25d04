import { z } from 'zod'
import { TaskSchema } from '../api/schemas.ts'
import type { Seals } from '../lib/seals.ts'
import type { TaskDefinition } from '../model/task.ts'

/** What is stored of a task definition: its environment is encrypted. Documents of earlier versions have it as it is. */
type SealedTask = Omit<TaskDefinition, 'env'> & { readonly sealedEnv: string }
const SealedSchema = z.looseObject({ app: z.string(), revision: z.int(), sealedEnv: z.string() })

// The revision is part of it: an environment that somebody moves to another document does not open there.
const contextOf = (app: string, revision: number): string => `the environment of ${app}, revision ${revision}`

export function sealTask({ env, ...task }: TaskDefinition, seals: Seals): SealedTask {
  return { ...task, sealedEnv: seals.seal(JSON.stringify(env), contextOf(task.app, task.revision)) }
}

/** The task definition that was stored; fails with `secret-unreadable`. */
export function openTask(stored: unknown, seals: Seals): TaskDefinition {
  const sealed = SealedSchema.safeParse(stored)
  if (!sealed.success) return TaskSchema.parse(stored)
  const { sealedEnv, ...task } = sealed.data
  return TaskSchema.parse({ ...task, env: JSON.parse(seals.open(sealedEnv, contextOf(task.app, task.revision))) })
}

/** Whether the stored task definition is encrypted, and with the newest key. */
export function isSealed(stored: unknown, seals: Seals): boolean {
  const sealed = SealedSchema.safeParse(stored)
  return sealed.success && seals.isCurrent(sealed.data.sealedEnv)
}
