/** What may make a release. */
export const MADE_BY = ['register', 'update', 'deploy', 'rollback', 'secrets'] as const
export type MadeBy = (typeof MADE_BY)[number]

/** What made a release, and who. */
export type Made = {
  readonly by: MadeBy
  /** The release that a rollback went back to. */
  readonly to?: number | undefined
  /** The name of the token that was shown. */
  readonly who?: string | undefined
  /** What a person or a program says about it, such as a commit. */
  readonly note?: string | undefined
}

/** What became of a release, as far as its node had told when the next release was made. */
export const OUTCOMES = ['ready', 'rejected'] as const
export type Outcome = (typeof OUTCOMES)[number]

type Stored = { readonly revision: number; readonly outcome?: Outcome | undefined }

/** So many releases before the current one are kept. @internal */
export const KEPT_RELEASES = 20

/**
 * The releases that are kept, newest first: the current one, `KEPT_RELEASES` before it, and the last one before it that was ready, however old
 * it is. Every master comes to the same result from the same documents. So a master never goes back to a release that another one removes.
 */
export function inReach<T extends Stored>(releases: readonly T[], current: number): readonly T[] {
  const sorted = releases.filter(({ revision }) => revision <= current).toSorted((a, b) => b.revision - a.revision)
  const before = sorted.filter(({ revision }) => revision < current)
  const kept = new Set(before.slice(0, KEPT_RELEASES))
  const lastReady = before.find(({ outcome }) => outcome === 'ready')
  return sorted.filter(one => one.revision === current || kept.has(one) || one === lastReady)
}
