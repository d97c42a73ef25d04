import type { domainCalls } from '../../api/domain-calls.ts'
import { deadline } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { DnsView } from '../../model/dns.ts'
import type { CertificateOrder } from '../../model/domain-state.ts'
import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import { domainStates } from './domain-state.ts'
import { zoneStates } from './zone-state.ts'

type Parts = {
  readonly find: (app: AppName) => Promise<App>
  /** The order of the certificate for a hostname. */
  readonly orderOf: (hostname: string) => Promise<CertificateOrder | null>
  /** What the name servers of the fronts answer from. */
  readonly view: () => Promise<DnsView>
  readonly clock: Clock
}

const ZONES_WITHIN_MS = 8_000

/** The handlers of the calls about hostnames. */
export const domainHandlers = ({ find, orderOf, view, clock }: Parts): Pick<Handlers, keyof typeof domainCalls> => ({
  async listDomains({ params }, { caller, signal }) {
    const { domains } = await find(params.app)
    using limit = deadline(clock, ZONES_WITHIN_MS, () => new Error('no answer'))
    const [seen, zones] = await Promise.all([
      domainStates(domains, { clock, signal, mayAskPrivate: caller?.role === 'admin' }),
      zoneStates(domains, { view: await view(), signal: AbortSignal.any([signal, limit.signal]) }),
    ])
    // Afterwards: the look at the certificate may have caused its order.
    const items = await mapAtMost(16, seen, async one => ({ ...one, order: await orderOf(one.hostname) }))
    return { value: { items, zones: [...zones] } }
  },
})
