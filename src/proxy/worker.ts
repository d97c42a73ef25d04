import { workerData } from 'node:worker_threads'
import { Holding } from '../api/holding.ts'
import { systemClock } from '../lib/clock.ts'
import type { Channel } from '../lib/threads/channel.ts'
import { serveCounted } from '../lib/threads/counted.ts'
import { runThread } from '../lib/threads/thread.ts'
import type { EndedRun } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { progressOf } from '../model/wake-progress.ts'
import { httpConnector } from './http-connector.ts'
import { openListeners } from './listeners.ts'
import type { NodeConnector } from './node-connector.ts'
import { Replica } from './replica.ts'
import type { FrontWorkerData } from './workers.ts'

// One of several threads of a front that share its port.
await runThread(async ({ channel, log }) => {
  const { nodes, overChannel, ticketKeys: keys, credential, ...given } = workerData as FrontWorkerData
  const clock = systemClock
  const replica = new Replica({ channel, nodes, keys, credential, clock })
  const { routes, pins, nodes: known, demand, targets, certificates, ticketKeys, credentials } = replica
  const connector = overChannel ? channelConnector(channel) : httpConnector(credentials)
  const listeners = await openListeners({
    ...given,
    routes,
    pins,
    nodes: known,
    targets,
    demand,
    certificates,
    connector,
    ticketKeys,
    clock,
    log,
  })
  serveCounted(channel, () => listeners.counted())
  return listeners
})

function channelConnector(channel: Channel): Pick<NodeConnector, 'hold' | 'follow' | 'onRunEnded'> {
  const runEndedListeners: ((ended: EndedRun) => void)[] = []
  const holding = new Holding({
    channel,
    clock: systemClock,
    onRunEnded: ended => {
      for (const listener of runEndedListeners) listener(ended)
    },
  })
  return {
    hold: (_route, { instance }, request, cancellation) => holding.hold(instance, request, cancellation),
    async *follow(route, _node, signal) {
      for await (const view of holding.follow(instanceId(route.name), route.permit, signal)) yield progressOf(view)
    },
    onRunEnded: listener => void runEndedListeners.push(listener),
  }
}
