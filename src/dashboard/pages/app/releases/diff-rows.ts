import type { ReleaseChange } from '../../../../model/release-changes.ts'
import { shortDigest } from '../../../../model/say-release.ts'

type DiffRow = {
  readonly field: string
  readonly kind: 'added' | 'removed' | 'changed'
  /** Left out: that release does not have the field. */
  readonly before?: string
  readonly after?: string
}

/** The differences of two releases as rows. Values of variables and secrets are digests; equal values have equal ones. */
export const diffRows = (changes: readonly ReleaseChange[]): readonly DiffRow[] =>
  changes.map(change => ({
    field: change.field,
    kind: !('before' in change) ? 'added' : 'after' in change ? 'changed' : 'removed',
    ...('before' in change && { before: sayValue(change.field, change.before) }),
    ...('after' in change && { after: sayValue(change.field, change.after) }),
  }))

function sayValue(field: string, value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  if (/^(env|secrets)\./.test(field)) return `digest ${shortDigest(value)}`
  return value.startsWith('sha256:') ? shortDigest(value) : value
}
