import { HOP_EXPECT, HOP_PATIENCE, NODE_HEADER, STATE_HEADER } from '../api/paths.ts'
import { appUnreachable, OURS, RequestAsk, servedBy, TRIES } from '../api/traffic.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { type Hop, UpstreamError } from '../lib/http/hop.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Ask, Held, Phase } from '../model/instance.ts'
import { type AppName, appName, type NodeName } from '../model/names.ts'

type Parts = {
  readonly node: NodeName
  /** Keeps the app awake, waking it first if need be. */
  readonly hold: (app: AppName, ask: Ask, leaver: Leaver) => Held | Promise<Held>
  readonly phase: (app: AppName) => Phase | Promise<Phase>
}

export type Traffic = (app: string, exchange: Exchange) => Promise<void>

/** Serves requests that a front forwards for an app of this node: hold, forward, to the last byte. */
export function traffic({ node, hold, phase }: Parts): Traffic {
  const serve = async (app: AppName, exchange: Exchange): Promise<void> => {
    const ask = asked(exchange)
    for (let left = TRIES; ; left--) {
      using held = await hold(app, ask, exchange)
      try {
        return await exchange.forward(hopOf(node, exchange, held))
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        if (error.sent || left <= 1) throw appUnreachable(app, error)
        await held.refused?.() // it may have ended just now: then it is woken again
      }
    }
  }

  return async (name, exchange) => {
    const app = appName(name)
    try {
      await serve(app, exchange)
    } catch (error) {
      exchange.ownHeaders[NODE_HEADER] = node
      exchange.ownHeaders[STATE_HEADER] = await phase(app)
      throw error
    }
  }
}

const hopOf = (node: NodeName, exchange: Exchange, held: Held): Hop => ({
  address: held.address,
  strip: OURS,
  forwarded: 'keep',
  expect: exchange.hasBody && exchange.header(HOP_EXPECT) === 'hop' ? 'answer' : 'pass',
  requestHeaders: held.headers,
  responseHeaders: () => servedBy(node, held.waited),
})

function asked(exchange: Exchange): RequestAsk {
  const patience = Number(exchange.header(HOP_PATIENCE) ?? Number.NaN)
  return new RequestAsk(exchange, exchange.header('x-forwarded-for'), patience >= 0 ? patience : undefined)
}
