import { MOST_SECRETS } from '../../api/env-schema.ts'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import type { SecretChanges, Secrets } from './secret-documents.ts'

/** The secrets after the changes. A secret that gets the value that it has keeps the release since which it has the value. */
export function changedSecrets(before: Secrets, changes: SecretChanges, since: number): Secrets {
  const after = new Map(Object.entries(before))
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) after.delete(name)
    else if (after.get(name)?.value !== value) after.set(name, { value, since })
  }
  return Object.fromEntries(after)
}

/** The names of the secrets that differ. */
export function differentNames(before: Secrets, after: Secrets): readonly string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter(name => secretOf(before, name) !== secretOf(after, name)).sort()
}

/** Without the changes that change nothing. */
export function realChanges(before: Secrets, changes: SecretChanges): SecretChanges {
  return Object.fromEntries(
    Object.entries(changes).filter(([name, value]) => (secretOf(before, name) ?? null) !== value),
  )
}

/** Fails with `bad-input` if a variable and a secret have the same name: neither may win over the other unseen. */
export function mustNotClash(app: AppName, env: Readonly<Record<string, string>>, secrets: Secrets): void {
  const both = Object.keys(secrets).filter(name => Object.hasOwn(env, name))
  if (both.length === 0) return
  const faults = both.map((name): Fault => ({ field: `env.${name}`, message: 'is a secret too, under the same name' }))
  const [name] = both
  throw new ShadowError('bad-input', `${app} would have ${both.join(', ')} both as a variable and as a secret`, {
    faults,
    hint: `to make a secret of a variable in one release: shadow secrets set ${app} ${name} --stage, then shadow update ${app} --unset-env ${name}; to keep the variable: shadow secrets unset ${app} ${name}`,
  })
}

/** Fails with `bad-input` if there are too many. */
export function mustBeFew(app: AppName, secrets: Secrets): void {
  const count = Object.keys(secrets).length
  if (count > MOST_SECRETS)
    throw new ShadowError('bad-input', `${app} would have ${count} secrets, and may have ${MOST_SECRETS}`, {
      hint: 'put several into one, or into a file on the volume',
    })
}

/** Fails with `not-found`, and names every secret that is to be taken away and is not there. */
export function mustHaveSecrets(app: AppName, before: Secrets, changes: SecretChanges): void {
  const absent = Object.entries(changes)
    .filter(([name, value]) => value === null && !Object.hasOwn(before, name))
    .map(([name]): Fault => ({ field: name, message: `it has no secret ${name}` }))
  if (absent.length === 0) return
  throw new ShadowError('not-found', `${app} has not what is to be taken away; nothing was changed`, {
    faults: absent,
    hint: `shadow secrets ls ${app}`,
  })
}

const secretOf = (secrets: Secrets, name: string): string | undefined =>
  Object.hasOwn(secrets, name) ? secrets[name]?.value : undefined
