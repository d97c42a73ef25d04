import { type Defines, type OwnerRule, ownerRules } from '../../api/owner-rules.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Egress, opensOnlyInternet } from '../../model/egress.ts'
import type { Hostname } from '../../model/hostname.ts'
import { storedImage } from '../../model/image-store.ts'
import { type AppName, isAppName } from '../../model/names.ts'
import { isInScope, type Scope } from '../../model/scope.ts'
import type { Call, Handlers } from '../call.ts'
import { ownName } from '../images/own-name.ts'
import type { Records } from '../records.ts'
import { mustHave, scopeOf } from './permission.ts'

type Answered = { value: unknown; etag?: string } | undefined
type Handler = (input: never, call: Call) => Promise<Answered>
type Page = { readonly items: readonly unknown[]; readonly next?: string | null }
type Query = { readonly query: { readonly after?: string | undefined; readonly limit: number } }

type Parts = { readonly records: Pick<Records, 'read'>; readonly appsDomain: Hostname }
export type OwnerGuard = ReturnType<typeof ownerGuard>

/** Lets a caller of the role owner make a call as `ownerRules` says, and see what is in its scope. Other callers are let through. */
export function ownerGuard({ records, appsDomain }: Parts) {
  /** Fails with `forbidden` for a definition by which an owner would get at what is not its own. */
  async function mustDefineOwn(defines: Defines, scope: Scope, host: string | undefined): Promise<void> {
    const { app, image, domains, egress } = defines
    const named = image === undefined ? undefined : storedImage(String(ownName(image, host)))
    if (named !== undefined) mustHave(scope, named.repository.split('/', 1)[0] ?? '')
    for (const domain of domains ?? []) mustBeFree(domain, scope)
    if (egress == null || egress.length === 0) return
    const record = app !== undefined && isAppName(app) ? await records.read(app as AppName) : undefined
    const before = record?.state === 'live' ? (record.app.task.egress ?? []) : []
    const added = egress.find(one => !opensOnlyInternet(one as Egress) && !(before as readonly string[]).includes(one))
    if (added === undefined) return
    const said = app ?? 'a session of an image'
    const mend = app === undefined ? 'shadow template create NAME --image IMAGE' : `shadow update ${app}`
    throw new ShadowError('forbidden', `this token may not let ${said} reach ${added}: machines are the admin's`, {
      hint: `an admin can: ${mend} --egress ${added}`,
    })
  }

  /** The hostname that an app gets by its name is that app's, also if there is no such app yet. */
  function mustBeFree(domain: string, scope: Scope): void {
    if (!domain.endsWith(`.${appsDomain}`)) return
    const label =
      domain
        .slice(0, -appsDomain.length - 1)
        .split('.')
        .at(-1) ?? ''
    if (isInScope(scope, label)) return
    throw new ShadowError(
      'forbidden',
      `the hostname ${domain} is for an app called ${label}, and this token is for the apps ${scope.join(', ')}`,
    )
  }

  return {
    /** The handler as this caller may use it; fails with `forbidden` where the caller may not make the call at all. */
    handlerFor(
      name: keyof Handlers,
      handler: Handler,
      { caller, params }: Pick<Call, 'caller'> & { readonly params: Readonly<Record<string, unknown>> },
    ): Handler {
      const scope = scopeOf(caller)
      const rule = ownerRules[name] as OwnerRule<unknown, unknown>
      if (scope === undefined) return handler
      if (rule === 'never') throw mayNot(scope)
      // Before anything is parsed, and whatever the rule says.
      for (const app of [params['app'], params['volume']]) if (app !== undefined) mustHave(scope, String(app))
      if (rule === 'always' || rule === 'handler') return handler
      return async (input, of) => {
        for (const app of rule.apps?.(input) ?? []) mustHave(scope, app)
        if (rule.defines !== undefined) await mustDefineOwn(rule.defines(input), scope, of.request.headers.host)
        const answered =
          rule.pages === undefined ? await handler(input, of) : await pageOf(rule.pages as never, input, of)
        if (answered === undefined || rule.shows === undefined) return answered
        return { ...answered, value: rule.shows(answered.value, scope) }
      }

      /** Reads pages until one is full of what the scope has: a page's `next` would name what others have. */
      async function pageOf(
        { app, after }: { app: (item: unknown) => string; after: (item: unknown) => string },
        input: never,
        of: Call,
      ): Promise<Answered> {
        const { query } = input as Query
        const items: unknown[] = []
        let next = query.after
        do {
          const answered = await handler({ ...(input as object), query: { ...query, after: next } } as never, of)
          const page = answered?.value as Page
          items.push(...page.items.filter(item => isInScope(scope as Scope, app(item))))
          next = page.next ?? undefined
        } while (next !== undefined && items.length < query.limit)
        const shown = items.slice(0, query.limit)
        const isWhole = next === undefined && items.length === shown.length
        return { value: { items: shown, next: isWhole ? null : after(shown.at(-1)) } }
      }
    },
  }
}

const mayNot = (scope: Scope): ShadowError =>
  new ShadowError('forbidden', `a token for the apps ${scope.join(', ')} may not do this`, {
    hint: 'it takes a token of the role admin',
  })
