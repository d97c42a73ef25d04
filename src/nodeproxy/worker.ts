import { workerData } from 'node:worker_threads'
import { goneUpstream } from '../api/forwarding.ts'
import { Holding } from '../api/holding.ts'
import { systemClock } from '../lib/clock.ts'
import { ExchangeServer } from '../lib/http/downstream/exchange-server.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import { Counts } from '../lib/shared/counts.ts'
import { serveCounted } from '../lib/threads/counted.ts'
import { runThread } from '../lib/threads/thread.ts'
import { nodeHandler } from './http.ts'
import { NODE_LIMITS } from './http-limits.ts'
import { instanceHandler } from './instance-request.ts'
import { listenTrusted } from './listen-trusted.ts'
import { sharedCountsOf } from './shared-counts.ts'
import { Trust, type TrustMethods } from './trust.ts'
import type { NodeWorkerData } from './workers.ts'

// One of several threads of a node that share its port.
await runThread(({ channel, log }) => {
  const { listen, node, key, mainListener, drainMs, use, memory, thread, trust: given } = workerData as NodeWorkerData
  const clock = systemClock
  const holding: Holding = new Holding({ channel, clock, onRunEnded: ended => exchanges.forget(goneUpstream(ended)) })
  const { bounds, sockets } = sharedCountsOf(use, thread + 1, clock)
  const toMain: NextHop = { address: mainListener, forwarded: 'keep' }
  const handler = nodeHandler({
    key,
    traffic: instanceHandler({
      node,
      hold: (instance, request, cancellation) => holding.hold(instance, request, cancellation),
      phase: instance => holding.phase(instance),
      bounds,
      clock,
    }),
    call: exchange => exchange.forward(toMain),
  })
  const exchanges = new ExchangeServer({
    handler,
    log,
    clock,
    limits: NODE_LIMITS,
    connections: { most: use.connections, counts: new Counts(memory, thread) },
    sockets,
  })
  serveCounted(channel, () => exchanges.counted)
  const trust = given && new Trust(given)
  channel.serve<TrustMethods>({ trust: now => trust?.take(now) })
  return listenTrusted(exchanges, listen, { trust, drainMs, log })
})
