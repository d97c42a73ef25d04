import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { zoneOf } from '../../model/dns.ts'
import type { Dns } from '../dns/open.ts'
import { OrderError } from './authority.ts'
import type { TxtRecords } from './dns-hook.ts'

type Parts = Pick<Dns, 'texts' | 'view'> & { readonly clock: Clock }

/** How long an order waits for the first name server: masters and fronts may be started at one time. */
const WAITS_MS = 30_000
const LOOKS_EVERY_MS = 1_000

/** Sets and clears TXT records at the name servers of the fronts, all of which show them at once. */
export function ownRecords({ texts, view, clock }: Parts, signal: AbortSignal): TxtRecords {
  const hasServer = async (): Promise<boolean> =>
    (await view()).fronts.some(({ isNameServer, isAlive }) => isNameServer && isAlive)

  return {
    async set(record, value) {
      const refused = (why: string): OrderError =>
        new OrderError(
          `the TXT record ${record} cannot be made: ${why}; or set SHADOW_DNS_UPDATE or SHADOW_ACME_DNS_HOOK`,
        )
      const { zones } = await view()
      if (zoneOf(record, zones) === undefined)
        throw refused(`it is in no zone of the fronts (${zones.join(', ')}): correct SHADOW_DNS_ZONES`)
      const until = clock.now() + WAITS_MS
      while (!(await hasServer())) {
        // The authority would find nothing there, and count that as a failure of this account.
        if (clock.now() >= until)
          throw refused('no front is a name server now: set SHADOW_DNS_LISTEN there (docs/dns.md)')
        await pause(clock, LOOKS_EVERY_MS, signal)
      }
      await texts.set(record, value)
    },
    clear: (record, value) => texts.clear(record, value),
  }
}
