import { masterClient } from '../api/client.ts'
import type { Clock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { lockFolder } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { type Master, startMaster } from '../master/main.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { nameOf } from '../nodeproxy/config.ts'
import { type Nodeproxy, startNodeproxy } from '../nodeproxy/main.ts'
import { startProxy } from '../proxy/main.ts'
import type { Reach } from '../proxy/reach.ts'
import type { UpConfig } from './up-config.ts'
import { leaveWhereabouts } from './whereabouts.ts'

type Given = {
  readonly clock: Clock
  readonly log: Log
  readonly onStep?: NodeproxyOptions['onStep']
  /** What the node stands on; Docker and loop devices where it is not said. */
  readonly drivers?: NodeproxyOptions['drivers']
}

type NodeproxyOptions = Parameters<typeof startNodeproxy>[1]

/** All three daemons in one process. */
export type Up = AsyncDisposable & {
  readonly frontUrl: string
  readonly masterUrl: string
  readonly adminToken: string
  readonly storage: string
  readonly nodeproxy: Nodeproxy
  /** Ends the front, then the node, then the master; with `sleep` the apps are put to sleep, without they go on running. */
  stop(options: { sleep: boolean }): Promise<void>
}

/** Starts master, nodeproxy and proxy on one data folder; the front reaches the node within the process. */
export async function startUp(config: UpConfig, { clock, log, onStep, drivers }: Given): Promise<Up> {
  await using started = new AsyncDisposableStack()
  await ownDataFolder(config.data)
  started.use(await lockFolder(config.data))
  const master = started.use(await startMaster(config.master, { clock, log }))
  const at = { master: master.url }
  const metrics = new Metrics()
  const nodeproxy = started.use(
    await startNodeproxy(
      // Its own door is hardly used: the front reaches it within the process.
      { ...config.nodeproxy, ...at, workers: 1, token: await master.nodeToken(nameOf(config.nodeproxy)) },
      { clock, log, metrics, ...(onStep && { onStep }), ...(drivers && { drivers }) },
    ),
  )
  await untilListed(master, nodeproxy)
  const proxy = started.use(
    await startProxy(
      { ...config.proxy, ...at, token: await master.token('proxy') },
      { clock, log, metrics, reach: reachWithin(nodeproxy) },
    ),
  )
  await nodeproxy.openPorts(portsOf(config.proxy, proxy))
  const { metricsListen } = config.proxy
  if (metricsListen !== undefined) started.use(await openMetrics(metrics, metricsListen, log))
  const frontUrl = urlOf(proxy.address)
  await leaveWhereabouts(config.data, { master: master.url, front: frontUrl })

  const rest = started.move()
  const stop = async ({ sleep }: { sleep: boolean }): Promise<void> => {
    await proxy[Symbol.asyncDispose]()
    await nodeproxy.stop({ sleep })
    await rest.disposeAsync()
  }
  return {
    frontUrl,
    masterUrl: master.url,
    adminToken: await master.token('admin'),
    storage: master.storage,
    nodeproxy,
    stop,
    [Symbol.asyncDispose]: () => stop({ sleep: false }),
  }
}

/** Where apps may reach their own hostnames: what listens on a loopback address they cannot reach at all. */
function portsOf(
  config: UpConfig['proxy'],
  { port, tls }: { port: number; tls: { port: number } | undefined },
): number[] {
  const isOpen = (host: string | undefined): boolean => host !== undefined && !/^(127\.|::1$|localhost$)/.test(host)
  return [...(isOpen(config.listen.host) ? [port] : []), ...(tls && isOpen(config.tlsListen?.host) ? [tls.port] : [])]
}

/** The front's way to the node without a hop between them. */
function reachWithin(nodeproxy: Nodeproxy): Reach {
  return {
    hold: (app, _node, ask, leaver) => nodeproxy.hold(app, ask, leaver),
    follow: (route, _node, signal) => nodeproxy.follow(route, signal),
    check: () => nodeproxy.health(),
    onLeft: listener => nodeproxy.onLeft(listener),
    share: line => nodeproxy.share(line),
  }
}

// The front asks the master for its nodes: the first request must not come before ours has spoken.
async function untilListed(master: Master, nodeproxy: Nodeproxy): Promise<void> {
  const client = masterClient({ url: master.url, token: await master.token('admin'), withinMs: MASTER_CALL_WITHIN })
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const { items } = await client.call('listNodes', {})
    if (items.some(({ name }) => name === nodeproxy.name)) return
    await new Promise(resolve => setTimeout(resolve, BETWEEN_TRIES_MS))
  }
}

const MOST_TRIES = 200
const BETWEEN_TRIES_MS = 10

/** Where a person on this machine finds it: who listens everywhere listens here too. */
const urlOf = (address: string): string => `http://${address.replace(/^(0\.0\.0\.0|\[::\]):/, '127.0.0.1:')}`
