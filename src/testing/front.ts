import type { Duplex } from 'node:stream'
import { appUnreachable } from '../api/forwarding.ts'
import { SEEN_HEADER } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import { ExchangeServer, netServer } from '../lib/http/downstream/exchange-server.ts'
import { type NextHop, UpstreamError } from '../lib/http/next-hop.ts'
import { type Log, noLog } from '../lib/log.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { readSettings } from '../lib/settings.ts'
import type { App, Node } from '../model/app.ts'
import type { Held, HoldRequest, InstanceLoad, Phase } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import { NO_PLACE, type Route, routeOf, type VolumePlace } from '../model/route.ts'
import type { VolumeDriver } from '../model/task.ts'
import type { WakeProgress } from '../model/wake-progress.ts'
import { proxySettings } from '../proxy/config.ts'
import { startProxy } from '../proxy/main.ts'
import type { ConnectionAsked, InstanceOnNode, NodeConnector } from '../proxy/node-connector.ts'
import { HandClock } from './clock.ts'
import { FAKE_TOKEN, fakeMaster } from './fake-master.ts'
import { temporaryFolder } from './folders.ts'
import { type Opened, open } from './wire.ts'
import { inTests } from './workers.ts'

/** An app with default values in all other fields. */
export function anApp(name: string, domains: readonly string[], volume?: string, driver?: VolumeDriver): App {
  const at = '2026-11-20T00:00:00.000Z'
  return {
    name,
    domains,
    createdAt: at,
    updatedAt: at,
    task: {
      app: name,
      revision: 1,
      image: 'image',
      env: {},
      port: 8000,
      ...(volume && { volume: { id: volume, size: '1GiB', path: '/data', ...(driver && { driver }) } }),
      limits: { memory: '512MiB', cpus: 1, pids: 512 },
      ready: { kind: 'port' },
      startWithin: '60s',
      sleep: { idleAfter: '5m', grace: '10s', webSockets: 'hold' },
      createdAt: at,
    },
  } as unknown as App
}

/** The permit of all apps: fake masters do not check it. */
export const A_PERMIT = 'a-permit'

/** The route of that app. */
export const aRoute = (...app: Parameters<typeof anApp>): Route => routeOf(anApp(...app), NO_PLACE, A_PERMIT)

/** A node that has announced itself from this address. */
export const aNode = (name: string, address: string, volumeDrivers?: readonly VolumeDriver[]): Node =>
  ({
    name,
    address,
    key: `key-of-${name}-0123456789`,
    cpus: 2,
    memoryBytes: 1e9,
    cpuUtilization: 0,
    memoryUtilization: 0,
    awake: 0,
    state: 'healthy',
    ...(volumeDrivers && { volumeDrivers }),
    until: '2126-01-01T00:00:00.000Z',
  }) as Node

/** The announcement of a node. */
type Changes = { address?: string; key?: string; controlKey?: string; volumeDrivers?: VolumeDriver[] }
export const anAnnouncement = (changes: Changes = {}) => ({
  address: '127.0.0.1:1',
  key: 'a-key-for-traffic-of-sixteen-or-more',
  controlKey: 'a-key-for-control-of-sixteen-or-more',
  cpus: 2,
  memoryBytes: 1,
  cpuUtilization: 0,
  memoryUtilization: 0,
  awake: 0,
  ...changes,
})

/** A master with these apps and nodes, which a test may change at any time. */
export const masterOf = (apps: App[], nodes: Node[], place: VolumePlace = NO_PLACE) =>
  fakeMaster({
    getHost: ({ params }) => {
      const app = apps.find(({ domains }) => (domains as readonly string[]).includes(params['hostname'] ?? ''))
      if (app === undefined) throw new ShadowError('host-unknown', `no app has the hostname ${params['hostname']}`)
      return routeOf(app, place, A_PERMIT)
    },
    listNodes: () => ({ items: nodes }),
    changes: () => '',
  })

/** Holds apps as the test says, and counts the holds. */
export class FakeConnector implements NodeConnector {
  readonly holdRequests: HoldRequest[] = []
  held = 0
  follows = 0
  phases: (Phase | WakeProgress)[] = []
  /** Whether `follow` waits after the last phase instead of ending. */
  followsOn = false
  readonly #answer: (request: HoldRequest, app: Route) => Partial<Held> | Promise<Partial<Held>>

  constructor(answer: (request: HoldRequest, app: Route) => Partial<Held> | Promise<Partial<Held>>) {
    this.#answer = answer
  }

  /** The instances that requests went to, with their nodes. */
  readonly went: string[] = []
  /** The instances that were to be kept awake, with their nodes. */
  readonly kept: string[] = []
  /** The awake instances of each node. */
  readonly awake = new Map<string, InstanceLoad[]>()

  async keep(_app: Route, { instance, node }: InstanceOnNode): Promise<void> {
    this.kept.push(`${instance} on ${node.name}`)
  }

  /** Where connections go; undefined: they are refused. */
  connects: ((asked: ConnectionAsked) => Promise<Duplex>) | undefined

  async connect(_app: Route, { instance, node }: InstanceOnNode, asked: ConnectionAsked): Promise<Duplex> {
    this.went.push(`${instance} on ${node.name}`)
    if (this.connects === undefined) throw new ShadowError('app-unreachable', 'nothing listens there')
    return this.connects(asked)
  }

  async loads({ name }: Node): Promise<readonly InstanceLoad[]> {
    return this.awake.get(name) ?? []
  }

  async hold(app: Route, { instance, node }: InstanceOnNode, request: HoldRequest): Promise<Held> {
    this.went.push(`${instance} on ${node.name}`)
    const { kind, what, bytes, mayWake, ignoredBy, patienceMs } = request // it is read from the HTTP request, which may end
    this.holdRequests.push({ kind, what, bytes, mayWake, patienceMs, ...(ignoredBy !== undefined && { ignoredBy }) })
    const held = await this.#answer(request, app)
    this.held += 1
    const leave = (): void => {
      this.held -= 1
    }
    return { address: '', headers: {}, ...held, [Symbol.dispose]: leave }
  }

  async *follow(_app: Route, _node: Node, signal: AbortSignal): AsyncGenerator<WakeProgress> {
    this.follows += 1
    for (const now of this.phases) yield typeof now === 'string' ? { phase: now } : now
    if (this.followsOn && !signal.aborted)
      await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
  }

  async check() {
    return { overall: false, overloaded: false }
  }
}

type FrontOptions = {
  readonly master: string
  readonly connector?: NodeConnector
  readonly data?: string
  readonly settings?: Record<string, string>
  readonly log?: Log
}

/** A real front on a free port, with a clock that stands still. */
export async function aFront({ master, connector, settings = {}, data = dataFolder(), log = noLog }: FrontOptions) {
  const clock = new HandClock()
  const env = {
    SHADOW_MASTER: master,
    SHADOW_TOKEN: FAKE_TOKEN,
    SHADOW_DATA: data,
    SHADOW_LISTEN: '127.0.0.1:0',
    SHADOW_WORKERS: inTests.workers,
    ...settings,
  }
  const metrics = new Metrics()
  const options = { clock, log, metrics, ...(connector && { connector }) }
  const front = await startProxy(readSettings(proxySettings, env), options)
  return { ...front, clock, metrics, [Symbol.asyncDispose]: () => front[Symbol.asyncDispose]() }
}

export const dataFolder = (): string => temporaryFolder('shadow-front-')

/** The listener of a node: refuses with the error of `refuse`, else forwards to the app; `served`: the requests that it forwarded. */
export async function aNodeListener(
  app: { readonly address: string },
  refuse: () => ShadowError | undefined = () => undefined,
  port = 0,
  isSeen = false,
): Promise<Opened & { readonly served: string[]; readonly asked: string[] }> {
  const served: string[] = []
  const asked: string[] = []
  const exchanges = new ExchangeServer({
    log: noLog,
    async handler(exchange) {
      const { method, target } = exchange
      if (exchange.isFor('/server-health-check')) {
        const health = {
          overall: false,
          overloaded: false,
          container_backend: false,
          cpu_utilization: 0,
          memory_utilization: 0,
        }
        exchange.answer({
          status: 200,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(health),
        })
        return
      }
      asked.push(`${method} ${target}`)
      const error = refuse()
      if (error !== undefined && isSeen) exchange.ownHeaders[SEEN_HEADER] = '1'
      if (error !== undefined) throw error
      served.push(`${method} ${target}`)
      const expect = exchange.header('x-shadow-expect') === 'hop' ? 'answer' : 'pass'
      const hop: NextHop = { address: app.address, strip: 'x-shadow-', forwarded: 'keep', expect }
      await exchange.forward(hop).catch((error: unknown) => {
        throw error instanceof UpstreamError ? appUnreachable('app' as AppName, error) : error
      })
    },
  })
  const opened = await open(netServer(exchanges), port)
  return {
    ...opened,
    served,
    asked,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
    },
  }
}
