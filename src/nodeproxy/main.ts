import type { Duplex } from 'node:stream'
import { masterClient } from '../api/client.ts'
import { masterStream } from '../api/master-stream.ts'
import { masterAccess, readMembership } from '../api/membership.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import { systemClock } from '../lib/clock.ts'
import { ownDataFolder } from '../lib/data-folder.ts'
import { ShadowError } from '../lib/errors.ts'
import { lockFolder } from '../lib/files.ts'
import { byHandler } from '../lib/http/api/request-handler.ts'
import type { Log } from '../lib/log.ts'
import { readMemory } from '../lib/memory.ts'
import { openMetrics } from '../lib/metrics/listener.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import { Mutex } from '../lib/mutex.ts'
import { socketsHere } from '../lib/open-files.ts'
import { gaugesMemory } from '../lib/shared/gauges.ts'
import { Shells } from '../lib/shells.ts'
import type { Channel } from '../lib/threads/channel.ts'
import { openTracing } from '../lib/tracing/open.ts'
import type { EndedRun, Held, HoldRequest, InstanceLoad, InstanceView, Phase } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import { leaseTimes, MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { withZone } from '../model/labels.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import { Announcer, nodeFacts } from './announce.ts'
import { apiHandler, apiHandlers } from './api-handlers.ts'
import { appPolicy } from './app-policy.ts'
import { AppSockets } from './app-socket/app-sockets.ts'
import { appSocketCalls } from './app-socket/calls.ts'
import { Builds } from './builds/builds.ts'
import { buildLimitsOf } from './builds/settings.ts'
import { inCluster } from './cluster.ts'
import type { Companions } from './companions/companions.ts'
import { listenAt, type NodeproxyConfig, nameOf, reachedAt, socketHere } from './config.ts'
import { configuredDrivers } from './configured-drivers.ts'
import { connectionStream } from './connections/connection-stream.ts'
import { type Asked, Connections } from './connections/connections.ts'
import { openDefinitions } from './definitions.ts'
import type { Drivers } from './drivers.ts'
import { egressSettings, namedEgress } from './egress/named-egress.ts'
import { Consoles } from './exec/consoles.ts'
import { Sessions } from './exec/sessions.ts'
import { Files } from './files.ts'
import { followChanges } from './follow-changes.ts'
import { Grants } from './grants.ts'
import { Health, type NodeHealth } from './health.ts'
import { NodeHistory } from './history/history.ts'
import { openStore } from './history/open.ts'
import { HostedApps, type Keeping } from './hosted-apps.ts'
import { callerCheck, nodeHandler } from './http.ts'
import { ImagePruning } from './images/image-pruning.ts'
import { LoopbackRegistry } from './images/loopback-registry.ts'
import { PullRegistry } from './images/pull-registry.ts'
import { PushRegistry } from './images/push-registry.ts'
import { instanceHandler } from './instance-request.ts'
import { ProcessGuard } from './leases/guard/guard.ts'
import { Leases } from './leases/leases.ts'
import { openListeners } from './listeners.ts'
import { Loads } from './loads.ts'
import { lastLinesOf } from './logs/last-lines.ts'
import { NodeCordon } from './node-cordon.ts'
import { type NodeKeys, ownKeys, ownSeals } from './node-keys.ts'
import { nodeMetrics } from './node-metrics.ts'
import { openParking } from './parking/open.ts'
import { floorBytesOf } from './pressure/memory-floor.ts'
import { MemoryPressure } from './pressure/memory-pressure.ts'
import { Queue } from './queue.ts'
import { untilReady } from './readiness.ts'
import { RefusedConnections } from './refused-connections.ts'
import { Revisions } from './revisions.ts'
import { Room } from './room.ts'
import { dockerBuilds } from './runtime/docker-builds.ts'
import { ScheduledRuns } from './scheduled-runs.ts'
import { openEndedSessions } from './session-ends.ts'
import { sharedCountsOf } from './shared-counts.ts'
import { Sources } from './sources/sources.ts'
import { freeAt } from './space/measure.ts'
import { Space } from './space/space.ts'
import { drainOnSpotNotice } from './spot-notice.ts'
import type { OnStep } from './state.ts'
import { readStats } from './stats.ts'
import { nodeSummaries } from './summaries.ts'
import { openMeter } from './usage/open.ts'
import { openVolumeWork } from './volume-work.ts'
import { Lingering } from './volumes/lingering.ts'

type Options = {
  readonly clock?: Clock
  readonly log: Log
  readonly onStep?: OnStep
  readonly drivers?: Drivers
  /** Given by a caller that serves the metrics itself. Otherwise the node serves them, if configured. */
  readonly metrics?: Metrics | undefined
}

/** A running node, for its caller: the front in the same process, or the command that runs it alone. */
export type Nodeproxy = AsyncDisposable & {
  readonly name: NodeName
  /** `host:port` where it listens. */
  readonly address: string
  readonly port: number
  readonly keys: NodeKeys
  hold(instance: InstanceId, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held>
  follow(instance: InstanceId, permit: string | undefined, signal: AbortSignal): AsyncIterable<InstanceView>
  /** Wakes the instance, and keeps it awake for so long; resolves when it is ready. */
  keep(instance: InstanceId, keeping: Keeping, signal: AbortSignal): Promise<void>
  loads(): Promise<readonly InstanceLoad[]>
  /** Lets a worker of a front in this process hold apps over the channel. */
  share(channel: Channel): Disposable
  /** Connects to a TCP port of an instance, waking it first: see `Connections`. */
  connect(asked: Asked, port: number, signal: AbortSignal): Promise<Duplex>
  health(): Promise<NodeHealth>
  /** Calls back with each run of an app that takes no more requests. */
  onRunEnded(listener: (ended: EndedRun) => void): void
  instances(): readonly InstanceView[]
  /** Lets apps reach these ports of this machine: a front listens there. */
  openPorts(ports: readonly number[]): Promise<void>
  /** Ends it; with `sleep` its apps are put to sleep first, without they go on running and the next start takes them over. */
  stop(options: { sleep: boolean }): Promise<void>
}

/** Starts a node. It undoes what an earlier run left before it listens. Without Docker it starts too, says so, and serves once Docker is back. */
export async function startNodeproxy(config: NodeproxyConfig, options: Options): Promise<Nodeproxy> {
  const { clock = systemClock, log, onStep = () => undefined, metrics = new Metrics() } = options
  await using started = new AsyncDisposableStack()
  const { data } = config
  await ownDataFolder(data)
  const folder = `${data}/node`
  started.use(await lockFolder(folder))
  const membership = await readMembership(folder, 'node')
  const name = nameOf(config, membership)
  const keys = await ownKeys(folder)
  const ending = new AbortController()
  const tracing = started.use(
    await openTracing(config, { service: 'shadow-node', attributes: { 'shadow.node': name }, clock, log }),
  )

  const access = masterAccess('node', config, membership)
  const master = masterClient({ ...access, withinMs: MASTER_CALL_WITHIN })
  const registry = new LoopbackRegistry({ log })
  started.defer(() => registry.close())
  const images = new PullRegistry({ master, registry })
  const pushes = new PushRegistry({ stream: masterStream(access), registry })
  const { exec } = started.use(new Shells())
  const dockerSocket = config.dockerSocket ?? socketHere()
  const builder = dockerBuilds({ socketPath: dockerSocket })
  const seals = await ownSeals(folder)
  const { runtime, volumes, filesystem, logs } =
    options.drivers ??
    (await configuredDrivers(config, {
      node: name,
      dockerSocket,
      storedImages: images,
      named: started.use(namedEgress({ ...(await egressSettings(config)), folder: `${data}/egress`, clock, log })),
      wireOf: instance => hosted.apps.known(appOf(instance))?.task.wire ?? [],
      isUsed: app => (hosted.apps.known(app)?.usedBy ?? []).length > 0,
      seals,
      exec,
      clock,
      log,
    }))
  started.defer(() => runtime.close())
  const labels = withZone(config.labels, volumes.zone)
  const cluster = membership && started.use(await inCluster({ membership, master, folder, clock, log }))
  const definitions = openDefinitions({ folder: `${data}/apps`, seals, log })
  const endedSessions = openEndedSessions({ folder: `${data}/ended-sessions`, seals, log })
  const revisions = new Revisions({ folder: `${data}/revisions`, seals, log })
  await revisions.load()
  started.use(logs)
  for (const files of [definitions, endedSessions, revisions]) started.defer(() => files.flush())
  const health = new Health({ runtime, data, isClosing: () => ending.signal.aborted })

  const { totalBytes } = readMemory()
  const room = new Room({
    overcommit: config.memoryOvercommit,
    volumeSlots: config.volumeSlots,
    idle: () =>
      instances.all.flatMap(({ id, idleSince }) =>
        idleSince === undefined
          ? []
          : [{ instance: id, idleSince, makeRoom: async () => instances.get(id)?.sleep('room') }],
      ),
    giveUpSlots: (most, besides) => lingering.giveUpDownTo(most, besides),
    totalBytes,
    log,
  })
  const mustWake = (task: TaskDefinition): void => {
    cordon.mustWake(task)
    hosted.mustBeAllowed(task.app)
  }
  const ofParking = { config, runtime, totalBytes, folder, hosted: () => hosted, mustWake, clock, log }
  const parking = started.use(openParking({ ...ofParking, isShort: () => pressure.isShort }))
  const reclaimers = [parking]
  const pressure: MemoryPressure = started.use(
    new MemoryPressure({ floor: config.memoryFloor, instances: () => instances.all, reclaimers, clock, log }),
  )
  const companions: Pick<Companions, 'take' | 'leave'> = {
    take: (...of) => hosted.companions.take(...of),
    leave: instance => hosted.companions.leave(instance),
  }
  const times = leaseTimes(config.poolLease)
  const guard = started.use(new ProcessGuard({ data, node: name, pool: config.pool, level: config.logLevel, log }))
  const runEndedListeners: ((ended: EndedRun) => void)[] = []
  const cordon = started.use(
    new NodeCordon({
      node: name,
      instances: () => instances.all,
      // Elsewhere than on this machine, the storage is there for other nodes too.
      isLocal: ({ volume }) => volume !== undefined && !volumes.expires(volume),
      giveUpDisks: () => lingering.giveUpDownTo(0),
      sessionOf: app => hosted.apps.known(app)?.session,
      clock,
      log,
    }),
  )
  const leases: Leases = new Leases({
    folder: `${data}/volumes`,
    node: name,
    times,
    guard,
    master,
    clock,
    permitOf: volume => hosted.apps.permitOf(volume),
    log,
  })
  const lingering: Lingering = new Lingering({ detachAfterMs: config.detachAfter, volumes, leases, clock, log })
  started.defer(() => lingering.close())
  const appSockets = started.use(
    new AppSockets({
      folder: `${data}/sockets`,
      callsOf: appSocketCalls({
        instanceOf: id => hosted.instances.get(id),
        master,
        permitOf: volume => hosted.apps.permitOf(volume),
        clock,
      }),
      log,
    }),
  )
  const inReach = () => [...hosted.apps.all.map(({ task }) => task), ...revisions.good]
  const building = new Mutex()
  const pruning = started.use(new ImagePruning({ images: builder, turn: building, master, inReach, clock, log }))
  const sources = started.use(
    new Sources({
      folder: `${data}/sources`,
      master,
      permitOf: app => hosted.apps.permitOfApp(app),
      inReach,
      clock,
      log,
    }),
  )
  const meter = started.use(await openMeter({ data, node: name, master, runtime, filesystem, volumes, clock, log }))
  const history = started.use(
    new NodeHistory({
      store: openStore({ folder: `${data}/history`, node: name, clock, log }),
      runtime,
      requestsOf: app => meter.requestsOf(app),
      lastLines: instance => lastLinesOf(logs, instance),
      clock,
      log,
    }),
  )
  const consoles = new Consoles({ runtime, room, companions, meter, mustAfford: app => hosted.mustAfford(app), log })
  const queue = new Queue({
    perApp: { requests: config.waitingPerApp, bytes: config.waitingBytesPerApp },
    perNode: { requests: config.waitingPerNode, bytes: config.waitingBytesPerNode },
  })
  const hosted: HostedApps = new HostedApps({
    master,
    mustTakeNew: app => cordon.mustTakeNew(app),
    definitions,
    endedSessions,
    logs,
    leases,
    guests: () => consoles.all,
    meter,
    history,
    parking,
    parts: {
      runtime,
      volumes,
      filesystem,
      untilReady,
      sources,
      leaseLostGraceMs: times.grace,
      ...appPolicy(config),
      room,
      lingering,
      sockets: appSockets,
      mustWake,
      onWoken: (...woken) => parking.woken(...woken),
      revisions,
      clock,
      log,
      node: name,
      queue,
      tracer: tracing.tracer,
      counters: nodeMetrics(metrics, {
        instances: () => instances.all,
        askWorkers: () => grants.report(),
        waitingBytes: () => queue.bytes,
        reservedBytes: () => room.reservedBytes,
        memoryPressure: () => pressure,
        volumes: () => space.uses,
        diskFreeBytes: () => freeAt(data),
        leases: () => leases,
        parked: () => parking.parked,
        isCordoned: () => cordon.isCordoned,
        isDraining: () => cordon.toLeave !== undefined,
        workerDeaths: () => listeners.deaths(),
      }),
      onStep,
      reopensWithinMs: config.reopensWithin,
      onRunEnded: ended => {
        for (const listener of runEndedListeners) listener(ended)
      },
    },
  })
  started.use(hosted)
  const { apps, instances } = hosted
  const hold: typeof hosted.hold = (instance, request, cancellation) => hosted.hold(instance, request, cancellation)
  const follow: typeof hosted.follow = (instance, permit, signal) => hosted.follow(instance, permit, signal)
  const phase = (instance: InstanceId): Phase => hosted.phase(instance)
  const grants: Grants = new Grants({
    hold,
    follow,
    phase,
    refused: (instance, run) => hosted.refused(instance, run),
    alive: (instance, run) => hosted.alive(instance, run),
    clock,
  })
  runEndedListeners.push(
    ended => grants.runEnded(ended),
    ended => meter.ended(ended),
    ended => history.ended(ended),
  )
  const space = started.use(
    new Space({
      instances: () => instances.all,
      runtime,
      volumes,
      filesystem,
      journal: (instance, line) => logs.note(instance, line),
      data,
      floorBytes: config.diskFloor,
      exec,
      clock,
      log,
    }),
  )
  const journal = (instance: InstanceId, line: string): void => logs.note(instance, line)
  const refusedConnections = started.use(new RefusedConnections({ runtime, journal, clock, log }))
  const volumeWork = openVolumeWork({
    config,
    node: name,
    volumes,
    filesystem,
    leases,
    master,
    hosted,
    journal,
    exec,
    clock,
    log,
    ending: ending.signal,
  })
  const use = { ...socketsHere(config.connections, log), memory: gaugesMemory({ threads: config.workers + 1 }) }
  const { bounds, sockets } = sharedCountsOf(use, 0, clock)
  let announcer: Announcer | undefined
  const loads = new Loads({ instances: () => instances.all, known: app => apps.known(app), runtime, bounds, clock })
  const connections = new Connections({ node: name, hosted, runtime, clock, log, ending: ending.signal })
  const handlers = apiHandlers({
    connections,
    space,
    refusedConnections,
    apps,
    instances,
    askWorkers: () => grants.report(),
    summaries: nodeSummaries({ instances, workers: grants, space, clock }),
    stats: () => readStats({ node: name, instances: () => instances.all, runtime, space, clock }),
    sessions: new Sessions({
      node: name,
      hosted,
      consoles,
      runtime,
      idleMs: config.sessionIdle,
      clock,
      log,
      ending: ending.signal,
    }),
    health,
    readLogs: (instance, options, signal) => logs.read(instance, options, signal),
    hosted,
    announceNow: async () => announcer?.now(),
    loads,
    scheduled: new ScheduledRuns({ hosted, runtime, visitorsOf: app => hosted.asVisitors(app), clock }),
    moves: volumeWork.moves,
    exports: volumeWork.exports,
    builds: new Builds({ node: name, builder, pushes, turn: building, limits: buildLimitsOf(config), clock, log }),
    files: new Files({ runtime, hold, instance: id => instances.get(id) }),
    snapshots: volumeWork.snapshots,
    backups: volumeWork.backups,
    history,
    ending: ending.signal,
  })
  const call = apiHandler(handlers, callerCheck(keys))
  const handler = nodeHandler({
    key: keys.traffic,
    traffic: instanceHandler({ node: name, hold, phase, bounds, clock }),
    call: exchange => byHandler(exchange, call, log),
  })

  const work: Promise<void>[] = []
  started.defer(async () => void (await Promise.all(work)))
  // Of a start that fails here: a stop has closed them before, and then there is nothing left to close.
  started.defer(() => instances.close({ sleep: false }))
  await filesystem.thaw().catch(cause => log.warn('volumes not thawed', { cause }))
  await sources.start()
  pruning.start()
  await hosted.open()
  await parking.start()
  meter.start()
  volumeWork.recover()
  space.start()
  if (floorBytesOf(config.memoryFloor, totalBytes) > 0) pressure.start()
  refusedConnections.start()
  const at = { ...config, listen: listenAt(config, membership) }
  const spans = tracing.counts
  const listening = { handler, grants, trust: cluster?.trust, metrics, spans, clock, log, use, sockets }
  const listeners = started.use(await openListeners({ config: at, node: name, key: keys.traffic, ...listening }))
  runEndedListeners.push(ended => listeners.forget(ended))
  if (options.metrics === undefined && config.metricsListen !== undefined)
    started.use(await openMetrics(metrics, config.metricsListen, log))
  const address = reachedAt(config, listeners, membership)
  const awake = (): number => hosted.awake
  const facts = nodeFacts({ room, runtime, clock })
  const onRevoked = (ids: readonly string[]): void => cluster?.revoked(ids)
  const volumeDrivers = volumes.names
  const about = { node: name, address, labels, keys, volumeDrivers, awake }
  announcer = new Announcer({ ...about, master, health, facts, cordon, onRevoked, clock, log })
  const watched = (): AppName[] => hosted.watched
  work.push(
    announcer.run(ending.signal),
    followChanges({ master, apps, clock, log, watched, onRemoved: app => hosted.removed(app) }, ending.signal),
  )
  if (config.spot === 'on') work.push(drainOnSpotNotice({ node: name, master, cordon, clock, log }, ending.signal))
  log.info('node ready', { node: name, address: listeners.address, awake: awake() })

  const held = started.move()
  let stopped: Promise<void> | undefined
  const stop = async ({ sleep }: { sleep: boolean }): Promise<void> => {
    ending.abort(new ShadowError('shutting-down', 'this node is stopping'))
    await instances.close({ sleep })
    await held.disposeAsync()
    log.info('node stopped', { node: name, awake: awake() })
  }
  const stopOnce = (options: { sleep: boolean }): Promise<void> => {
    stopped ??= stop(options)
    return stopped
  }
  return {
    name,
    address: listeners.address,
    port: listeners.port,
    keys,
    hold,
    follow,
    keep: async (...keeping) => void (await hosted.keep(...keeping)),
    loads: () => loads.now(),
    connect: async (...asked) => connectionStream(await connections.open(...asked)),
    share: channel => grants.serve(channel),
    health: () => health.now(),
    onRunEnded: listener => void runEndedListeners.push(listener),
    instances: () => instances.all.map(instance => instance.view()),
    openPorts: ports => runtime.openPorts(ports),
    stop: stopOnce,
    [Symbol.asyncDispose]: () => stopOnce({ sleep: false }),
  }
}
