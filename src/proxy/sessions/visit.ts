import { SESSION_HEADER } from '../../api/paths.ts'
import type { Exchange } from '../../lib/http/exchange.ts'
import type { NextHop } from '../../lib/http/next-hop.ts'
import type { AppName } from '../../model/names.ts'
import { type ShownToken, tokenCookie, withoutOurs } from './shown-tokens.ts'

/** A request of a visitor who may visit the session. Dispose it when it is over. */
export type Visit = Disposable & {
  /** What of the client's headers the app does not get. */
  readonly drops: NonNullable<NextHop['drops']>
  /** What the app is told of the visitor. */
  readonly headers: Readonly<Record<string, string>>
  /** To set on the answer. */
  readonly cookie: string | undefined
  /** Aborts when the token is revoked; undefined: the visit is by none. */
  readonly ended: AbortSignal | undefined
}

/** Who visits, as far as it is known. */
export type Visitor = { readonly user?: string | undefined; readonly auth?: string | undefined }

type Admitted = {
  readonly session: AppName
  readonly exchange: Exchange
  readonly visitor: Visitor
  /** By which the visitor is admitted. */
  readonly shown: ShownToken | undefined
  /** The token is to be set as a cookie. */
  readonly keeps: boolean
  readonly secure: boolean
}

const VERIFIED = 'x-verified-'
const NO_NAMES: readonly string[] = []

/** What changes in a request of an admitted visitor. */
export function admitted({
  session,
  exchange,
  visitor,
  shown,
  keeps,
  secure,
}: Admitted): Omit<Visit, 'ended' | keyof Disposable> {
  const { user, auth } = visitor
  const cookies = exchange.list('cookie')
  const rest = cookies === undefined ? undefined : withoutOurs(cookies)
  const names = [
    ...(rest === undefined ? NO_NAMES : ['cookie']),
    ...(shown?.by === 'bearer' ? ['authorization'] : NO_NAMES),
  ]
  return {
    drops: { prefix: VERIFIED, names },
    headers: {
      ...(rest !== undefined && rest !== '' && { Cookie: rest }),
      'X-Verified-Path': `${exchange.mountedAt}${exchange.target.split('?', 1)[0]}`,
      ...(user !== undefined && { 'X-Verified-User': user }),
      ...(auth !== undefined && { 'X-Verified-Auth': auth }),
      [SESSION_HEADER]: session,
    },
    cookie: keeps && shown !== undefined ? tokenCookie(shown.text, secure) : undefined,
  }
}
