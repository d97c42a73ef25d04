import { ShadowError } from '../lib/errors.ts'
import { destinationsOf, type Egress, reachesHost } from './egress.ts'
import type { Hostname } from './hostname.ts'

/** A secret of an app that its node adds to the app's requests to one host, so that it never is in the container. */
export type WireCredential = {
  /** The name of the secret. The container gets a variable of this name, with a placeholder. */
  readonly secret: string
  readonly host: Hostname
  /** The header of the request that gets it. What the app itself sends under this name is replaced. */
  readonly header: string
  /** The value of the header; `{}` in it stands for the secret. */
  readonly format: string
  /** The secret itself. It is only in what a master sends to a node of the app; left out: the app has no such secret. */
  readonly value?: string | undefined
}

const SECRET_HERE = '{}'
/** What the container gets in place of the secret: many programs do not start without one. */
export const PLACEHOLDER = 'added-by-shadow'

/** How a secret is written in a header, where nothing else is said: as a bearer in `Authorization`, else as it is. */
export const usualFormat = (header: string): string =>
  header.toLowerCase() === 'authorization' ? `Bearer ${SECRET_HERE}` : SECRET_HERE

// What frames or routes a request, or is between two hops, is not the app's to set either.
const NOT_THESE =
  /^(host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|expect|via|forwarded|x-forwarded-.*|proxy-.*|sec-.*)$/i

/** Parses the name of a header that may carry a secret; fails with `bad-input`. */
export function wireHeader(text: string): string {
  if (/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/.test(text) && !NOT_THESE.test(text)) return text
  throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is no header that can carry a secret`)
}

/** Parses how a secret is written in a header; fails with `bad-input`. */
export function wireFormat(text: string): string {
  if (/^[\x20-\x7e]{2,200}$/.test(text) && text.split(SECRET_HERE).length === 2) return text
  throw new ShadowError('bad-input', `"${text.slice(0, 100)}" has not one ${SECRET_HERE} for the secret`)
}

/** The value of the header; undefined if there is no secret, or if it cannot be in a header. */
export function headerValue({ format, value }: WireCredential): string | undefined {
  if (value === undefined || !/^[\x20-\x7e]+$/.test(value)) return undefined
  return format.split(SECRET_HERE).join(value)
}

/** The hosts of credentials that the app does not reach by its list. */
export const hostsNotReached = (
  wire: readonly WireCredential[],
  egress: readonly Egress[] = [],
): readonly Hostname[] => {
  const { hosts } = destinationsOf(egress)
  return wire.map(({ host }) => host).filter(host => !reachesHost(hosts, host))
}
