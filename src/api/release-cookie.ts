import { ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { Held, WantedRelease } from '../model/instance.ts'
import type { Route } from '../model/route.ts'

/** The cookie that keeps a visitor on the release that their session began with, for apps whose sessions stay. Its value is the revision. */
const RELEASE_COOKIE = 'shadow_release'

/** What a visitor wants: one release, or a session that begins now; undefined: the newest release, and no cookie is set. */
export type Wanted = WantedRelease | typeof NEW | undefined

/** In a hop's header: `=12` for release 12 alone, `12` for release 12 if it runs, `new` for a visitor without the cookie. */
const NEW = 'new'

/** What a visitor wants. Fails with `host-unknown` for a release that never was. */
export function wantedBy(exchange: Pick<Exchange, 'list'>, app: Route): Wanted {
  if (app.release !== undefined) {
    if (app.release > app.revision)
      throw new ShadowError('host-unknown', `${app.name} has no release ${app.release}: the newest is ${app.revision}`)
    return { revision: app.release, isStrict: true }
  }
  if (app.sessions !== 'stay') return undefined
  const [, revision] = /(?:^|[;,]\s*)shadow_release=(\d{1,9})(?:[;,]|\s|$)/.exec(exchange.list('cookie') ?? '') ?? []
  return revision === undefined ? NEW : { revision: Number(revision), isStrict: false }
}

/** A request's wish as a header of the hop to a node, and back. */
export const sayWanted = (wanted: NonNullable<Wanted>): string =>
  wanted === NEW ? NEW : `${wanted.isStrict ? '=' : ''}${wanted.revision}`

export function readWanted(said: string | undefined): Wanted {
  if (said === undefined || said === NEW) return said
  const [, strict, revision] = /^(=?)(\d{1,9})$/.exec(said) ?? []
  return revision === undefined ? undefined : { revision: Number(revision), isStrict: strict === '=' }
}

/** The release of a hold request. */
export const releaseOf = (wanted: Wanted): WantedRelease | undefined => (wanted === NEW ? undefined : wanted)

/** The cookie to set on an answer; undefined if the visitor has it already, or needs none. */
export function cookieFor(wanted: Wanted, { release }: Held, secure: boolean): string | undefined {
  if (wanted === undefined || release === undefined) return undefined
  if (wanted !== NEW && (wanted.isStrict || wanted.revision === release)) return undefined
  return `${RELEASE_COOKIE}=${release}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}
