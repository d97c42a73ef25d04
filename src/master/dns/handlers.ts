import type { dnsCalls } from '../../api/dns-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Handlers } from '../call.ts'
import type { Dns } from './open.ts'

/** The handlers of the calls by which fronts answer as name servers. */
export const dnsHandlers = ({ fronts, texts, view }: Dns): Pick<Handlers, keyof typeof dnsCalls> => ({
  async announceFront({ params: { front }, body }, { caller }) {
    // A token of the role proxy says no name, but a certificate does.
    if (caller?.member !== undefined && caller.name !== front)
      throw new ShadowError('forbidden', `the front ${caller.name} may not announce itself as ${front}`)
    await fronts.announce(front, { ...body, member: caller?.member })
    return { value: await view() }
  },

  getTexts: async ({ params: { hostname } }) => ({ value: { texts: [...(await texts.at(hostname))] } }),
})
