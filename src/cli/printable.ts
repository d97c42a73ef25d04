import { createHash } from 'node:crypto'
import type { App } from '../model/app.ts'
import type { TaskDefinition } from '../model/task.ts'

/** Asks the master for digests in place of the values of variables, because output of the CLI is copied to logs and tickets. */
export const DIGESTS = { env: 'digests' } as const

const DIGEST = /^hmac-sha256:[0-9a-f]{32}$/

/** The app without secret values, for printing. */
export const printable = (app: App): App => ({ ...app, task: printableTask(app.task) })

/** The task without secret values, for printing. An older master sends values although the CLI asked for digests. */
function printableTask(task: TaskDefinition): TaskDefinition {
  if (task.env === undefined) return task
  const env = Object.entries(task.env).map(([name, value]) => [name, DIGEST.test(value) ? value : digest(value)])
  return { ...task, env: Object.fromEntries(env) }
}

const digest = (value: string): string => `sha256:${createHash('sha256').update(value).digest('hex').slice(0, 32)}`
