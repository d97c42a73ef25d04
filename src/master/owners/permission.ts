import { ShadowError } from '../../lib/errors.ts'
import { isInScope, type Scope } from '../../model/scope.ts'
import type { Caller } from '../known-callers.ts'

/** The apps that the caller is bound to; undefined: it is not bound. */
export const scopeOf = (caller: Caller | undefined): Scope | undefined =>
  // Without a list, an owner has nothing.
  caller?.role === 'owner' ? (caller.apps ?? []) : undefined

/** Fails with `forbidden` for an app that is not in the scope, the same whether the app is there or not. */
export function mustHave(scope: Scope, app: string): void {
  if (isInScope(scope, app)) return
  throw new ShadowError(
    'forbidden',
    `this token is for the apps ${scope.join(', ')}, and not for ${app.slice(0, 100)}`,
    {
      hint: 'an admin can make another one: shadow token create NAME --apps PATTERN',
    },
  )
}

/** Whether something that is for these apps (null: for all) is the caller's. */
export function isOwn(caller: Caller | undefined, apps: readonly string[] | null): boolean {
  const scope = scopeOf(caller)
  return scope === undefined || (apps?.every(app => isInScope(scope, app)) ?? false)
}

/** Fails with `forbidden` if an owner names no apps, or others than its own. */
export function mustNameOwn(caller: Caller | undefined, apps: readonly string[] | undefined): void {
  const scope = scopeOf(caller)
  if (scope === undefined) return
  if (apps === undefined)
    throw new ShadowError('forbidden', `this token is for the apps ${scope.join(', ')}: name apps of these`)
  for (const app of apps) mustHave(scope, app)
}
