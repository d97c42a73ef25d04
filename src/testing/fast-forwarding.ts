import { Exchanges, type ExchangesOptions, exchangeServer } from '../lib/http/downstream/exchange-server.ts'
import type { Hop } from '../lib/http/upstream-target.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'
import { open } from './wire.ts'

/** Makes a forwarder in front of one upstream, and keeps what became of each request. */
export const fastForwarding =
  (more: Partial<ExchangesOptions> = {}) =>
  async (upstream: { readonly address: string }, hop: Partial<Hop> = {}, options: Partial<ExchangesOptions> = {}) => {
    const clock = new HandClock()
    const outcomes: unknown[] = []
    const exchanges = new Exchanges({
      log: noLog,
      ...options,
      ...more,
      clock,
      async journey(exchange) {
        try {
          await exchange.forward({ address: upstream.address, forwarded: 'replace', ...hop })
          outcomes.push('done')
        } catch (error) {
          outcomes.push(error)
          throw error
        }
      },
    })
    const opened = await open(exchangeServer(exchanges))
    return {
      ...opened,
      clock,
      outcomes,
      exchanges,
      async [Symbol.asyncDispose]() {
        await opened[Symbol.asyncDispose]()
        exchanges[Symbol.dispose]()
      },
    }
  }
