import type { Definition } from '../api/schemas.ts'
import { type Fault, ShadowError } from '../lib/errors.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { TaskDefinition } from '../model/task.ts'

const DIGEST = /^hmac-sha256:[0-9a-f]{32}$/

export type Digests = ReturnType<typeof envDigests>

/**
 * Digests of environment values, shown to people in place of the values. Equal values have equal digests, so that a change can be seen.
 * The digests are made with the masters' key, which is not in the store: nobody can guess a value from its digest, however short the value
 * is. A new key makes other digests.
 */
export function envDigests(seals: Seals) {
  const digest = (value: string): string => `hmac-sha256:${seals.digest(value, 'environment')}`

  return {
    digest,
    isDigest: (value: string): boolean => DIGEST.test(value),
    /** The digests of secrets. A secret and a variable of one value have the same digest. */
    of: (secrets: Readonly<Record<string, { readonly value: string }>>): Record<string, string> =>
      Object.fromEntries(Object.entries(secrets).map(([name, { value }]) => [name, digest(value)])),

    /** The task with digests in place of the values of its environment. */
    hide: (task: TaskDefinition): TaskDefinition => ({ ...task, env: mapped(task.env, digest) }),

    /**
     * Puts the app's current values back in place of their digests. So a caller that reads an app, changes one field and writes it back
     * changes that field alone.
     * Fails with `bad-input` if a digest does not belong to the app's current value.
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
