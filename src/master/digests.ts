import { createHmac, randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Definition } from '../api/schemas.ts'
import { type Fault, isFailure, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Storage } from './storage/storage.ts'

const DOCUMENT = 'secrets/digests.json'
const Stored = z.object({ key: z.string().min(40) })
const DIGEST = /^hmac-sha256:[0-9a-f]{32}$/

export type Digests = ReturnType<typeof envDigests>

/**
 * Digests of the values of environments: what a person is shown in their place. Equal values have equal digests, so that a
 * change can be seen. The key is random and stays in the storage: a value cannot be guessed from its digest, however short.
 */
export function envDigests(storage: Storage) {
  let opened: Promise<Buffer> | undefined

  const open = (): Promise<Buffer> => {
    opened ??= keyIn(storage).catch(error => {
      opened = undefined
      throw error
    })
    return opened
  }

  return {
    /** The task with digests in place of the values of its environment. */
    async hide(task: TaskDefinition): Promise<TaskDefinition> {
      if (Object.keys(task.env).length === 0) return task
      const key = await open()
      return { ...task, env: mapped(task.env, value => digest(key, value)) }
    },

    /**
     * The definition with the values that the app has in place of their digests: who reads an app, changes one field and
     * puts it back changes that field alone. Fails with `bad-input` where a digest is not of the value that the app has.
     */
    async restore(definition: Definition, now: App | undefined): Promise<Definition> {
      if (!Object.values(definition.env).some(value => DIGEST.test(value))) return definition
      const key = await open()
      const faults: Fault[] = []
      const env = mapped(definition.env, (value, name) => {
        if (!DIGEST.test(value)) return value
        const had = now !== undefined && Object.hasOwn(now.task.env, name) ? now.task.env[name] : undefined
        if (had !== undefined && (had === value || digest(key, had) === value)) return had
        faults.push({ field: `env.${name}`, message: 'is the digest of another value; give the value itself' })
        return value
      })
      if (faults.length > 0) throw new ShadowError('bad-input', 'a digest is no value', { faults })
      return { ...definition, env }
    },
  }
}

const digest = (key: Buffer, value: string): string =>
  `hmac-sha256:${createHmac('sha256', key).update(value).digest('hex').slice(0, 32)}`

const mapped = (
  env: Readonly<Record<string, string>>,
  to: (value: string, name: string) => string,
): Record<string, string> => Object.fromEntries(Object.entries(env).map(([name, value]) => [name, to(value, name)]))

/** The key of this storage, made by whichever master asks for it first. */
async function keyIn(storage: Storage): Promise<Buffer> {
  const stored = await storage.get(DOCUMENT)
  if (stored !== undefined) return Buffer.from(Stored.parse(stored.value).key, 'base64url')
  const key = randomBytes(32)
  try {
    await storage.create(DOCUMENT, { key: key.toString('base64url') })
    return key
  } catch (error) {
    if (!isFailure(error, 'already-exists')) throw error
    return keyIn(storage)
  }
}
