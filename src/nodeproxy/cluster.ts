import type { MasterClient } from '../api/client.ts'
import { type Membership, renewMembership } from '../api/membership.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { keepRenewed } from '../lib/tls/renewal.ts'
import { keepRevoked, keptRevoked, Trust } from './trust.ts'

type Options = {
  readonly membership: Membership
  readonly master: MasterClient
  /** Keeps the revoked fronts. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

/** The part of a node that belongs to a cluster: renews its certificate, and keeps which fronts are revoked. */
export async function inCluster({ membership, master, folder, clock, log }: Options) {
  const file = `${folder}/revoked`
  const { credentials } = membership
  const trust = new Trust({ credential: credentials.current, revoked: await keptRevoked(file) }, credentials)
  const renewal = keepRenewed({ credentials, renew: () => renewMembership(membership, master), clock, log })
  return {
    trust,
    /** The master has listed the former members. */
    revoked(ids: readonly string[]): void {
      const isNew = ids.join() !== trust.now.revoked.join()
      trust.revoke(ids)
      if (isNew) void keepRevoked(file, ids, log)
    },
    [Symbol.dispose]: () => renewal[Symbol.dispose](),
  }
}
