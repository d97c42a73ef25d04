import { workerData } from 'node:worker_threads'
import { Holding } from '../api/holding.ts'
import { systemClock } from '../lib/clock.ts'
import { Exchanges, listenFor } from '../lib/http/fast/server.ts'
import type { Hop } from '../lib/http/hop.ts'
import { Counts } from '../lib/shared/counts.ts'
import { tellCounted } from '../lib/threads/counted.ts'
import { runThread } from '../lib/threads/thread.ts'
import { nodeDoor } from './http.ts'
import { NODE_LIMITS } from './limits.ts'
import { traffic } from './traffic.ts'
import type { NodeWorkerData } from './workers.ts'

// One of several threads of a node that share its port.
await runThread(({ line, log }) => {
  const { listen, node, key, door, drainMs, most, memory, thread } = workerData as NodeWorkerData
  const clock = systemClock
  const holding: Holding = new Holding({ line, clock, onLeft: address => exchanges.forget(address) })
  const toMain: Hop = { address: door, forwarded: 'keep' }
  const journey = nodeDoor({
    key,
    traffic: traffic({
      node,
      hold: (app, ask, leaver) => holding.hold(app, ask, leaver),
      phase: app => holding.phase(app),
    }),
    call: exchange => exchange.forward(toMain),
  })
  const exchanges = new Exchanges({
    journey,
    log,
    clock,
    limits: NODE_LIMITS,
    connections: { most, counts: new Counts(memory, thread) },
  })
  tellCounted(line, () => exchanges.counted)
  return listenFor(exchanges, listen, drainMs)
})
