import type { Definition } from '../api/schemas.ts'
import { type Fault, ShadowError } from '../lib/errors.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { TaskDefinition } from '../model/task.ts'

const DIGEST = /^hmac-sha256:[0-9a-f]{32}$/

export type Digests = ReturnType<typeof envDigests>

/**
 * Digests of the values of environments: what a person is shown in their place. Equal values have equal digests, so that a
 * change can be seen. They are made with the masters' key, which is not in the store: a value cannot be guessed from its digest,
 * however short. A new key makes other digests.
 */
export function envDigests(seals: Seals) {
  const digest = (value: string): string => `hmac-sha256:${seals.digest(value, 'environment')}`

  return {
    /** The task with digests in place of the values of its environment. */
    hide: (task: TaskDefinition): TaskDefinition => ({ ...task, env: mapped(task.env, digest) }),

    /**
     * The definition with the values that the app has in place of their digests: who reads an app, changes one field and
     * puts it back changes that field alone. Fails with `bad-input` where a digest is not of the value that the app has.
     */
    restore(definition: Definition, now: App | undefined): Definition {
      if (!Object.values(definition.env).some(value => DIGEST.test(value))) return definition
      const faults: Fault[] = []
      const env = mapped(definition.env, (value, name) => {
        if (!DIGEST.test(value)) return value
        const had = now !== undefined && Object.hasOwn(now.task.env, name) ? now.task.env[name] : undefined
        if (had !== undefined && (had === value || digest(had) === value)) return had
        faults.push({ field: `env.${name}`, message: 'is the digest of another value; give the value itself' })
        return value
      })
      if (faults.length > 0) throw new ShadowError('bad-input', 'a digest is no value', { faults })
      return { ...definition, env }
    },
  }
}

const mapped = (
  env: Readonly<Record<string, string>>,
  to: (value: string, name: string) => string,
): Record<string, string> => Object.fromEntries(Object.entries(env).map(([name, value]) => [name, to(value, name)]))
