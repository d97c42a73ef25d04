import type { domainCalls } from '../../api/domain-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import { domainStates } from './domain-state.ts'

type Parts = { readonly find: (app: AppName) => Promise<App>; readonly clock: Clock }

/** The handlers of the calls about hostnames. */
export const domainHandlers = ({ find, clock }: Parts): Pick<Handlers, keyof typeof domainCalls> => ({
  async listDomains({ params }, { caller, signal }) {
    const { domains } = await find(params.app)
    return { value: { items: await domainStates(domains, { clock, signal, mayAskPrivate: caller?.role === 'admin' }) } }
  },
})
