import { ShadowError } from '../lib/errors.ts'
import { ipOf } from '../lib/ip.ts'
import type { Access } from '../model/access.ts'
import type { AppName } from '../model/names.ts'
import { Networks } from './networks.ts'
import { RateLimits, type RateLimitsOptions } from './rate-limits.ts'

type Lists = { readonly allow: Networks | undefined; readonly deny: Networks | undefined }

/** Applies the access rules of apps to clients: their lists, and then their rates. */
export class Guard {
  readonly #rates: RateLimits
  // Keyed by the rules object: a route that is read anew has a new one, and the old one is collected.
  readonly #lists = new WeakMap<Access, Lists>()

  constructor(options: RateLimitsOptions) {
    this.#rates = new RateLimits(options)
  }

  /** Fails with `not-allowed` or `rate-limited` where this client may not use the app now. */
  admit(app: AppName, access: Access, client: string): void {
    const { allow, deny } = this.#of(access)
    const address = client.includes('%') ? (ipOf(client) ?? client) : client
    if (deny?.has(address) === true || allow?.has(address) === false)
      throw new ShadowError('not-allowed', `${address} may not use ${app}`, { hint: `shadow access ${app}` })
    this.#rates.take(app, access, address)
  }

  #of(access: Access): Lists {
    let lists = this.#lists.get(access)
    if (lists === undefined) {
      lists = {
        allow: access.allow.length > 0 ? new Networks(access.allow) : undefined,
        deny: access.deny.length > 0 ? new Networks(access.deny) : undefined,
      }
      this.#lists.set(access, lists)
    }
    return lists
  }
}
