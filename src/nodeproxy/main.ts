import { masterClient } from '../api/client.ts'
import type { Clock } from '../lib/clock.ts'
import { systemClock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { lockFolder } from '../lib/files.ts'
import { Exchanges, listenFor } from '../lib/http/fast/server.ts'
import { byHandler } from '../lib/http/server.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { connectionsHere } from '../lib/open-files.ts'
import { Shells } from '../lib/shells.ts'
import type { Line } from '../lib/threads/line.ts'
import type { App } from '../model/app.ts'
import type { Ask, Held, InstanceView, Phase } from '../model/instance.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { announce } from './announce.ts'
import { Apps } from './apps.ts'
import { followChanges } from './changes.ts'
import { type NodeproxyConfig, nameOf } from './config.ts'
import { control, controlDoor } from './control.ts'
import { Definitions } from './definitions.ts'
import { type Drivers, openDrivers } from './drivers.ts'
import { Grants } from './grants.ts'
import { Health, type NodeHealth } from './health.ts'
import { nodeDoor } from './http.ts'
import { Instances } from './instances.ts'
import { ownKey } from './key.ts'
import { Leases } from './leases.ts'
import { NODE_LIMITS } from './limits.ts'
import { Queue } from './queue.ts'
import { untilReady } from './readiness.ts'
import { showNode } from './shown.ts'
import type { OnStep } from './state.ts'
import { traffic } from './traffic.ts'
import { openWorkers } from './workers.ts'

type Options = {
  readonly clock?: Clock
  readonly log: Log
  readonly onStep?: OnStep
  readonly drivers?: Drivers
  /** Shown by whoever put it together; without, the node shows its own, where it is set to. */
  readonly metrics?: Metrics | undefined
}

/** A node at work, for whoever put it together: the front in the same process, or the command that runs it alone. */
export type Nodeproxy = AsyncDisposable & {
  readonly name: NodeName
  /** `host:port` where it listens. */
  readonly address: string
  readonly port: number
  readonly key: string
  hold(app: App, ask: Ask, leaver: Leaver): Held | Promise<Held>
  follow(app: AppName, signal: AbortSignal): AsyncIterable<InstanceView>
  /** Lets a worker of a front in this process hold apps over the line. */
  share(line: Line): Disposable
  health(): Promise<NodeHealth>
  /** Calls back with each address that an app has left. */
  onLeft(listener: (address: string) => void): void
  instances(): readonly InstanceView[]
  /** Ends it; with `sleep` its apps are put to sleep first, without they go on running and the next start takes them over. */
  stop(options: { sleep: boolean }): Promise<void>
}

// Answers under way get this long when the node stops; the apps themselves go on.
const DRAIN_MS = 10_000
// Where the workers reach this thread.
const OWN_DOOR = { host: '127.0.0.1', port: 0 }

/** Starts a node: the ground is cleared before the door opens. Without Docker it starts too, says so, and serves once that is back. */
export async function startNodeproxy(config: NodeproxyConfig, options: Options): Promise<Nodeproxy> {
  const { clock = systemClock, log, onStep = () => undefined, metrics = new Metrics() } = options
  await using started = new AsyncDisposableStack()
  const { data } = config
  const name = nameOf(config)
  started.use(await lockFolder(`${data}/node`))
  const key = await ownKey(`${data}/node`)
  const ending = new AbortController()
  let isClosing = false

  const { exec } = started.use(new Shells())
  const { runtime, volumes, mounts, logs } =
    options.drivers ?? openDrivers({ node: name, data, dockerSocket: config.dockerSocket, exec, clock, log })
  const master = masterClient({ url: config.master, token: config.token, withinMs: MASTER_CALL_WITHIN })
  const leases = new Leases({ folder: `${data}/volumes`, node: name, master, log })
  const leftTo: ((address: string) => void)[] = []
  const definitions = new Definitions({ folder: `${data}/apps`, log })

  const forget = async (app: AppName): Promise<void> => {
    const removed = apps.known(app)
    await instances.forget(app, () => logs.remove(app))
    if (apps.known(app)?.createdAt === removed?.createdAt) apps.forget(app)
  }
  const onRemoved = (app: AppName): void => {
    forget(app).catch(() => undefined) // it has ended in `stuck`, and that was logged
  }
  const onNewer = (app: App): void => instances.get(app.name)?.define(app.task)
  const apps: Apps = new Apps({ master, definitions, clock, log, onNewer, onRemoved })
  const instances: Instances = new Instances({
    parts: {
      runtime,
      volumes,
      mounts,
      leases,
      untilReady,
      clock,
      log,
      node: name,
      queue: new Queue({
        perApp: { requests: config.waitingPerApp, bytes: config.waitingBytesPerApp },
        perNode: { requests: config.waitingPerNode, bytes: config.waitingBytesPerNode },
      }),
      journal: (app, line) => logs.note(app, line),
      tally: showNode(
        metrics,
        () => instances,
        () => grants.report(),
      ),
      onStep,
      onStarted: container => logs.pump(container),
      onLeft: address => {
        for (const tell of leftTo) tell(address)
      },
    },
    definitions: () => apps.all,
    learnOf: async app => {
      if (apps.known(app) === undefined)
        await apps.resolve(app).catch(cause => log.warn('left-over app is not known', { app, cause }))
    },
    onAdopted: container => logs.pump(container),
  })
  const removeVolume = async (volume: VolumeId): Promise<void> => {
    const user = instances.all.find(({ task }) => task.volume?.id === volume)
    await (user === undefined ? volumes.remove(volume) : user.atRest(() => volumes.remove(volume)))
    leases.forget(volume)
  }
  const health = new Health({ runtime, data, isClosing: () => isClosing })

  await apps.load()
  await instances.reconcile().catch(error => {
    if (!isFailure(error, 'runtime-unreachable')) throw error
    log.error('runtime does not answer; apps are served once it does', { cause: error })
  })
  const phase = (app: AppName): Phase => instances.get(app)?.phase ?? 'asleep'
  const hold = (app: AppName, ask: Ask, leaver: Leaver): Held | Promise<Held> => {
    const known = apps.current(app)
    if (known !== undefined) return instances.hold(known, ask, leaver)
    return apps.resolve(app).then(found => instances.hold(found, ask, leaver))
  }
  const holdDefined = (app: App, ask: Ask, leaver: Leaver): Held | Promise<Held> =>
    instances.hold(apps.learn(app), ask, leaver)
  const follow = async function* (app: AppName, signal: AbortSignal): AsyncGenerator<InstanceView> {
    yield* instances.of(await apps.resolve(app)).follow(signal)
  }
  const grants: Grants = new Grants({
    hold: (app, ask, leaver) => (typeof app === 'string' ? hold(app, ask, leaver) : holdDefined(app, ask, leaver)),
    follow,
    phase,
    clock,
  })
  leftTo.push(address => grants.left(address))
  const handlers = control({
    apps,
    instances,
    askWorkers: () => grants.report(),
    health,
    readLogs: (app, options, signal) => logs.read(app, options, signal),
    forget,
    removeVolume,
    ending: ending.signal,
  })
  const journey = nodeDoor({
    key,
    traffic: traffic({ node: name, hold, phase }),
    control: refuse => {
      const call = controlDoor(handlers, refuse)
      return exchange => byHandler(exchange, call, log)
    },
  })
  const connections = connectionsHere(config.connections, log)
  const exchanges = new Exchanges({
    journey,
    log,
    clock,
    limits: NODE_LIMITS,
    connections: { most: connections },
  })
  leftTo.push(address => exchanges.forget(address))
  const door = await listenFor(exchanges, config.workers > 1 ? OWN_DOOR : config.listen, DRAIN_MS)
  const listening =
    config.workers > 1
      ? await openWorkers({
          config: { ...config, connections },
          node: name,
          key,
          door,
          grants,
          clock,
          log,
          drainMs: DRAIN_MS,
        })
      : { ...door, counted: async () => [], deaths: () => 0 }
  metrics.count('node', async () => [exchanges.counted, ...(await listening.counted())])
  const deaths = { name: 'node_worker_deaths_total', help: 'Workers of the node that died, and were started again' }
  metrics.counter(deaths, () => ({ '': listening.deaths() }))
  if (options.metrics === undefined && config.metricsListen !== undefined)
    started.use(await openMetrics(metrics, config.metricsListen, log))
  const address = config.address ?? listening.address
  const awake = (): number => instances.all.filter(({ phase }) => phase === 'awake').length
  const work = [
    announce({ master, node: name, address, key, health, awake, clock, log }, ending.signal),
    followChanges(
      {
        master,
        apps,
        clock,
        log,
        watched: () => instances.all.filter(({ phase }) => phase !== 'asleep').map(({ app }) => app),
        onRemoved,
      },
      ending.signal,
    ),
  ]
  log.info('node ready', { node: name, address: listening.address, awake: awake() })

  const held = started.move()
  let stopped: Promise<void> | undefined
  const stop = async ({ sleep }: { sleep: boolean }): Promise<void> => {
    isClosing = true
    ending.abort(new ShadowError('shutting-down', 'this node is stopping'))
    await instances.close({ sleep })
    await listening[Symbol.asyncDispose]()
    if (config.workers > 1) await door[Symbol.asyncDispose]()
    await Promise.all(work)
    await Promise.all([definitions.flush(), logs[Symbol.asyncDispose]()])
    await held.disposeAsync()
    log.info('node stopped', { node: name, awake: awake() })
  }
  const stopOnce = (options: { sleep: boolean }): Promise<void> => {
    stopped ??= stop(options)
    return stopped
  }
  return {
    name,
    address: listening.address,
    port: listening.port,
    key,
    hold: holdDefined,
    follow,
    share: line => grants.serve(line),
    health: () => health.now(),
    onLeft: listener => void leftTo.push(listener),
    instances: () => instances.all.map(instance => instance.view()),
    stop: stopOnce,
    [Symbol.asyncDispose]: () => stopOnce({ sleep: false }),
  }
}
