import { ShadowError } from '../lib/errors.ts'
import { faultOfLabel } from './names.ts'
import { sessionParts } from './session.ts'

/** The apps that a token of an owner is for: the name of one, or the beginning of names and a star, as `ann-*`. */
export type AppPattern = string & { readonly brand: 'AppPattern' }
export type Scope = readonly AppPattern[]

/** Parses a pattern; fails with `bad-input`. A star alone would be all apps, which is what an admin has. */
export function appPattern(text: string): AppPattern {
  const begins = text.endsWith('*') ? `${text.slice(0, -1)}x` : text
  const fault = text === '*' ? 'it is all apps; use the role admin' : faultOfLabel(begins)
  if (fault !== undefined)
    throw new ShadowError(
      'bad-input',
      `apps "${text.slice(0, 100)}": ${fault}; write a name, or ann-* for all that begin so`,
    )
  return text as AppPattern
}

const prefixOf = (pattern: AppPattern): string | undefined => (pattern.endsWith('*') ? pattern.slice(0, -1) : undefined)

const matches = (pattern: AppPattern, app: string): boolean => {
  // Whoever has a template has its sessions.
  const template = sessionParts(app)?.template
  if (template !== undefined && matches(pattern, template)) return true
  const prefix = prefixOf(pattern)
  return prefix === undefined ? pattern === app : app.startsWith(prefix)
}

export const isInScope = (scope: Scope, app: string): boolean => scope.some(pattern => matches(pattern, app))

/** The shortest beginning of names all of which are in the scope; undefined: the scope has single names alone. */
export const widestBeginning = (scope: Scope): string | undefined =>
  scope
    .flatMap(pattern => prefixOf(pattern) ?? [])
    .toSorted((a, b) => a.length - b.length || a.localeCompare(b))
    .at(0)

/** Whether every app of the one scope is in the other. */
export const isWithin = (inner: Scope, outer: Scope): boolean =>
  inner.every(one => {
    const prefix = prefixOf(one)
    if (prefix === undefined) return isInScope(outer, one)
    return outer.some(other => prefixOf(other) !== undefined && prefix.startsWith(prefixOf(other) ?? ''))
  })

/** Whose tokens are for the app: of several owners the one with the closest pattern, then the first by name; undefined: nobody's. */
export function ownerOf(
  app: string,
  owners: readonly { readonly name: string; readonly apps: Scope }[],
): string | undefined {
  const closeness = (pattern: AppPattern): number => prefixOf(pattern)?.length ?? Number.POSITIVE_INFINITY
  const found = owners.flatMap(({ name, apps }) =>
    apps.filter(pattern => matches(pattern, app)).map(pattern => ({ name, close: closeness(pattern) })),
  )
  // Infinity minus infinity is no number: two exact names are equally close.
  found.sort((a, b) => (a.close === b.close ? a.name.localeCompare(b.name) : b.close - a.close))
  return found[0]?.name
}
