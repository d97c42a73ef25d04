import { ExchangeServer, type ExchangeServerOptions, netServer } from '../lib/http/downstream/exchange-server.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'
import { open } from './wire.ts'

/** Makes a forwarder in front of one upstream, and keeps what became of each request. */
export const fastForwarding =
  (more: Partial<ExchangeServerOptions> = {}) =>
  async (
    upstream: { readonly address: string },
    hop: Partial<NextHop> = {},
    options: Partial<ExchangeServerOptions> = {},
  ) => {
    const clock = new HandClock()
    const outcomes: unknown[] = []
    const exchanges = new ExchangeServer({
      log: noLog,
      ...options,
      ...more,
      clock,
      async handler(exchange) {
        try {
          await exchange.forward({ address: upstream.address, forwarded: 'replace', ...hop })
          outcomes.push('done')
        } catch (error) {
          outcomes.push(error)
          throw error
        }
      },
    })
    const opened = await open(netServer(exchanges))
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
