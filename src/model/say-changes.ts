import type { ReleaseChange } from './release-changes.ts'

/**
 * The changes of a release in a line: `image, env +A ~B -C, limits.memory 512MiB → 1GiB`. Values of variables and secrets are left out: they
 * may be secret.
 */
export function sayChanges(changes: readonly ReleaseChange[]): string {
  const isNamed = changes.some(({ field }) => field === 'image')
  const plain = changes.filter(
    ({ field }) => groupOf(field) === undefined && !/^(pinned\.|secretsVersion$)/.test(field),
  )
  const isRebuilt = !isNamed && changes.some(({ field }) => field === 'pinned.id')
  const said = [
    ...plain.map(sayChange),
    ...(isRebuilt ? ['image rebuilt'] : []),
    ...GROUPS.flatMap(group => sayGroup(group, changes)),
  ]
  return said.join(', ') || '-'
}

const GROUPS = ['env', 'secrets'] as const
const groupOf = (field: string) => GROUPS.find(group => field.startsWith(`${group}.`))

function sayGroup(group: string, changes: readonly ReleaseChange[]): string[] {
  const own = changes.filter(({ field }) => groupOf(field) === group)
  if (own.length === 0) return []
  const names = own.map(change => `${signOf(change)}${change.field.slice(group.length + 1)}`)
  return [`${group} ${names.sort((a, b) => (a.slice(1) < b.slice(1) ? -1 : 1)).join(' ')}`]
}

const signOf = (change: ReleaseChange): string => (!('before' in change) ? '+' : 'after' in change ? '~' : '-')

function sayChange({ field, before, after }: ReleaseChange): string {
  if (isPlain(before) && isPlain(after)) return `${field} ${before ?? 'none'} → ${after ?? 'none'}`
  return field
}

const isPlain = (value: unknown): boolean =>
  value === undefined || ['string', 'number', 'boolean'].includes(typeof value)
