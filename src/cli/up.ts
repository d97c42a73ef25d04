import { masterClient } from '../api/client.ts'
import type { Clock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { ShadowError } from '../lib/errors.ts'
import { lockFolder } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { type Master, startMaster } from '../master/main.ts'
import { instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { progressOf } from '../model/wake-progress.ts'
import { nameOf } from '../nodeproxy/config.ts'
import { type Nodeproxy, startNodeproxy } from '../nodeproxy/main.ts'
import { startProxy } from '../proxy/main.ts'
import type { NodeConnector } from '../proxy/node-connector.ts'
import { writeEndpoints } from './endpoints.ts'
import type { UpConfig } from './up-config.ts'

type Given = {
  readonly clock: Clock
  readonly log: Log
  readonly onStep?: NodeproxyOptions['onStep']
  /** Runtime and block storage of the node; left out: Docker and loop devices. */
  readonly drivers?: NodeproxyOptions['drivers']
}

type NodeproxyOptions = Parameters<typeof startNodeproxy>[1]

/** All three daemons in one process. */
export type Up = AsyncDisposable & {
  readonly frontUrl: string
  readonly masterUrl: string
  readonly adminToken: string
  readonly storage: string
  /** The port of the SSH server; undefined if there is none. */
  readonly sshPort: number | undefined
  readonly nodeproxy: Nodeproxy
  /** Ends the front, then the node, then the master. With `sleep` the apps are put to sleep; otherwise they go on running. */
  stop(options: { sleep: boolean }): Promise<void>
}

/** Starts master, nodeproxy and proxy on one data folder; the front reaches the node within the process. */
export async function startUp(config: UpConfig, { clock, log, onStep, drivers }: Given): Promise<Up> {
  await using started = new AsyncDisposableStack()
  await ownDataFolder(config.data)
  started.use(await lockFolder(config.data))
  const metrics = new Metrics()
  const master = started.use(await startMaster(config.master, { clock, log, isAlone: true, metrics }))
  const at = { master: master.url }
  const nodeproxy = started.use(
    await startNodeproxy(
      // One worker: the front calls the node within the process, so the node's own listener has little to do.
      { ...config.nodeproxy, ...at, workers: 1, token: await master.nodeToken(nameOf(config.nodeproxy)) },
      { clock, log, metrics, ...(onStep && { onStep }), ...(drivers && { drivers }) },
    ),
  )
  await untilListed(master, nodeproxy)
  const proxy = started.use(
    await startProxy(
      { ...config.proxy, ...at, token: await master.token('proxy') },
      { clock, log, metrics, connector: inProcessConnector(nodeproxy) },
    ),
  )
  await nodeproxy.openPorts(portsOf(config.proxy, proxy))
  const { metricsListen } = config.proxy
  if (metricsListen !== undefined) started.use(await openMetrics(metrics, metricsListen, log))
  const frontUrl = urlOf(proxy.address)
  master.frontIs(frontUrl)
  await writeEndpoints(config.data, { master: master.url, front: frontUrl })

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
    sshPort: master.ssh,
    nodeproxy,
    stop,
    [Symbol.asyncDispose]: () => stop({ sleep: false }),
  }
}

/** The front's ports that apps may reach, to call hostnames of apps. A port on a loopback address cannot be reached from a container. */
function portsOf(
  config: UpConfig['proxy'],
  { port, tls }: { port: number; tls: { port: number } | undefined },
): number[] {
  const isOpen = (host: string | undefined): boolean => host !== undefined && !/^(127\.|::1$|localhost$)/.test(host)
  return [...(isOpen(config.listen.host) ? [port] : []), ...(tls && isOpen(config.tlsListen?.host) ? [tls.port] : [])]
}

/** Connects the front to the node by function calls, without an HTTP hop. */
function inProcessConnector(nodeproxy: Nodeproxy): NodeConnector {
  return {
    hold: (_route, { instance }, request, cancellation) => nodeproxy.hold(instance, request, cancellation),
    keep: ({ permit }, { instance }, keeping, signal) => nodeproxy.keep(instance, { ...keeping, permit }, signal),
    connect: ({ permit }, { instance }, { port, by, wake }, signal) =>
      nodeproxy.connect({ instance, by, wake, permit }, port, signal),
    loads: () => nodeproxy.loads(),
    async *follow(route, _node, signal) {
      for await (const view of nodeproxy.follow(instanceId(route.name), route.permit, signal)) yield progressOf(view)
    },
    check: async node => {
      // The list may have a node of an earlier name, which is no other machine that could be reached.
      if (node.name !== nodeproxy.name) throw new ShadowError('node-unreachable', `${node.name} is not this node`)
      return nodeproxy.health()
    },
    onRunEnded: listener => nodeproxy.onRunEnded(listener),
    share: channel => nodeproxy.share(channel),
  }
}

// The front gets its nodes from the master, so the node must have announced itself before the first request.
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

/** The URL of the front for people on this machine; a wildcard address becomes the loopback address. */
const urlOf = (address: string): string => `http://${address.replace(/^(0\.0\.0\.0|\[::\]):/, '127.0.0.1:')}`
