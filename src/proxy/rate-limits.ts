import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { clientAt } from '../lib/ip.ts'
import type { Buckets } from '../lib/shared/buckets.ts'
import { type Access, type Bucket, bucketOf } from '../model/access.ts'
import type { AppName } from '../model/names.ts'

export type RateLimitsOptions = {
  readonly clock: Clock
  /** How much each app was used, and each client of an app; in memory that workers share, they count together. */
  readonly apps: Buckets
  /** Apart from the apps', so that many clients cannot crowd those out. */
  readonly clients: Buckets
}

type Rates = { readonly ofApp: Bucket | undefined; readonly perClient: Bucket | undefined }

/** Bounds how many requests an app gets, and how many of each client. */
export class RateLimits {
  readonly #options: RateLimitsOptions
  // Keyed by the rules object: a route that is read anew has a new one, and the old one is collected.
  readonly #rates = new WeakMap<Access, Rates>()

  constructor(options: RateLimitsOptions) {
    this.#options = options
  }

  /** Counts a request of the client at the address; fails with `rate-limited` (429) where it is one too many. */
  take(app: AppName, access: Access, address: string): void {
    const { apps, clients, clock } = this.#options
    const { ofApp, perClient } = this.#of(access)
    if (perClient !== undefined) {
      const waitMs = clients.take(`${app} ${clientAt(address)}`, perClient, clock.now())
      if (waitMs > 0)
        throw tooMany(`${address} asks more of ${app} than ${access.ratePerClient}`, app, 'client', waitMs)
    }
    if (ofApp !== undefined) {
      const waitMs = apps.take(app, ofApp, clock.now())
      if (waitMs > 0) throw tooMany(`${app} is asked more than ${access.rate}`, app, 'app', waitMs)
    }
  }

  #of(access: Access): Rates {
    let rates = this.#rates.get(access)
    if (rates === undefined) {
      rates = {
        ofApp: access.rate && bucketOf(access.rate),
        perClient: access.ratePerClient && bucketOf(access.ratePerClient),
      }
      this.#rates.set(access, rates)
    }
    return rates
  }
}

/** `of`: which of the two rates was reached. */
const tooMany = (what: string, app: AppName, of: 'client' | 'app', retryAfterMs: number): ShadowError =>
  new ShadowError('rate-limited', what, { retryAfterMs, hint: `shadow access ${app}`, facts: { rate: of } })
