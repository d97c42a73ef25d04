import type { domainCalls } from '../../api/domain-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { CertificateOrder } from '../../model/domain-state.ts'
import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import { domainStates } from './domain-state.ts'

type Parts = {
  readonly find: (app: AppName) => Promise<App>
  /** The order of the certificate for a hostname. */
  readonly orderOf: (hostname: string) => Promise<CertificateOrder | null>
  readonly clock: Clock
}

/** The handlers of the calls about hostnames. */
export const domainHandlers = ({ find, orderOf, clock }: Parts): Pick<Handlers, keyof typeof domainCalls> => ({
  async listDomains({ params }, { caller, signal }) {
    const { domains } = await find(params.app)
    const seen = await domainStates(domains, { clock, signal, mayAskPrivate: caller?.role === 'admin' })
    // Afterwards: the look at the certificate may have caused its order.
    const items = await mapAtMost(16, seen, async one => ({ ...one, order: await orderOf(one.hostname) }))
    return { value: { items } }
  },
})
