import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CallAnswer, Calls, HandlerInput } from '../api/call-shape.ts'
import { lineFilterOf } from '../api/log-query.ts'
import { nodeCalls } from '../api/node-calls.ts'
import { parseCall } from '../api/parse-call.ts'
import { nodePaths, PERMIT_HEADER } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import { openEvents } from '../lib/http/api/events.ts'
import { readJson, reply } from '../lib/http/api/request-handler.ts'
import type { StreamedRequest, StreamedResponse } from '../lib/http/exchange.ts'
import type { LogLine } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import { STREAM_HEARTBEAT_EVERY } from '../model/intervals.ts'
import type { InstanceStats } from '../model/stats.ts'
import { progressOf } from '../model/wake-progress.ts'
import type { Apps } from './apps.ts'
import { backupHandlers } from './backups/handlers.ts'
import type { VolumeBackups } from './backups/volume-backups.ts'
import type { Builds } from './builds/builds.ts'
import type { Connections } from './connections/connections.ts'
import type { Sessions } from './exec/sessions.ts'
import type { Files } from './files.ts'
import type { Health } from './health.ts'
import { historyHandlers } from './history/handlers.ts'
import type { NodeHistory } from './history/history.ts'
import type { HostedApps } from './hosted-apps.ts'
import type { CallerCheck } from './http.ts'
import type { Instance } from './instance.ts'
import type { Instances } from './instances.ts'
import type { Loads } from './loads.ts'
import type { ReadOptions } from './logs/logs.ts'
import type { RefusedConnections } from './refused-connections.ts'
import type { ScheduledRuns } from './scheduled-runs.ts'
import type { SnapshotHandlers } from './snapshots/handlers.ts'
import type { Space } from './space/space.ts'
import type { Summaries } from './summaries.ts'
import { followRollout } from './switch/follow-rollout.ts'
import type { VolumeExports } from './volume-exports.ts'
import type { VolumeMoves } from './volume-moves.ts'

type Name = keyof typeof nodePaths
// biome-ignore lint/suspicious/noConfusingVoidType: a call without an answer resolves with nothing
type Nothing = void
type Stream = {
  readonly request: StreamedRequest
  readonly response: StreamedResponse
  readonly signal: AbortSignal
  /** The permit that master or front show for the app. */
  readonly permit: string | undefined
}
export type Handlers = {
  readonly [N in Name]: (
    input: HandlerInput<(typeof nodeCalls)[N]>,
    stream: Stream,
  ) => Promise<CallAnswer<(typeof nodeCalls)[N]> | Nothing>
}

type Parts = {
  readonly apps: Apps
  readonly instances: Instances
  readonly space: Space
  readonly refusedConnections: RefusedConnections
  /** Makes the holds of workers known to views. */
  readonly askWorkers: () => Promise<void>
  readonly sessions: Sessions
  readonly connections: Connections
  readonly stats: () => Promise<InstanceStats[]>
  readonly summaries: Summaries
  readonly health: Health
  readonly readLogs: (instance: InstanceId, options: ReadOptions, signal: AbortSignal) => AsyncIterable<LogLine>
  readonly hosted: Pick<
    HostedApps,
    'mustTake' | 'keep' | 'sleep' | 'freeze' | 'park' | 'forget' | 'forgetInstance' | 'removeVolume'
  >
  /** Announces this node to the master, and takes its cordon from the answer. */
  readonly announceNow: () => Promise<void>
  readonly loads: Loads
  readonly scheduled: Pick<ScheduledRuns, 'run'>
  readonly moves: VolumeMoves
  readonly exports: VolumeExports
  readonly snapshots: SnapshotHandlers
  readonly builds: Builds
  readonly files: Files
  readonly backups: VolumeBackups
  readonly history: NodeHistory
  /** Ends streams when the node stops. */
  readonly ending: AbortSignal
}

/** The calls of a node's API. */
export function apiHandlers({
  apps,
  instances,
  space,
  refusedConnections,
  askWorkers,
  sessions,
  connections,
  stats,
  summaries,
  health,
  readLogs,
  hosted,
  announceNow,
  loads,
  scheduled,
  moves,
  exports,
  snapshots,
  builds,
  files,
  backups,
  history,
  ending,
}: Parts): Handlers {
  const instanceOf = async (id: InstanceId, permit: string | undefined): Promise<Instance> =>
    instances.of(id, await apps.resolve(appOf(id), permit))
  return {
    health: () => health.now(),
    openSession: ({ params, query }, stream) => sessions.serve({ ...params, ...query }, stream),
    openConnection: ({ params, query }, stream) =>
      connections.serve({ ...params, ...query, permit: stream.permit }, stream),
    listStats: async () => ({ items: await stats() }),
    listSummaries: ({ query: { since, waitMs } }, { signal }) =>
      summaries.since(since, waitMs, AbortSignal.any([signal, ending])),
    listInstances: async () => {
      await askWorkers()
      return { items: instances.all.map(instance => instance.view()) }
    },
    getInstance: async ({ params }, { permit }) => {
      const instance = await instanceOf(params.instance, permit)
      await askWorkers()
      await refusedConnections.read().catch(() => undefined) // the view shows the last known counts
      return { ...(await space.viewOf(instance)), ...refusedConnections.viewOf(instance.id) }
    },
    wakeInstance: async ({ params }, { signal, permit }) => {
      const app = appOf(params.instance)
      hosted.mustTake(app)
      await apps.resolve(app, permit)
      await apps.refresh(app) // a person who has just changed the app means the new definition
      const known = await apps.resolve(app, permit)
      const instance = await instances.wake(
        params.instance,
        known,
        { says: 'a person who asked', cause: 'person' },
        signal,
      )
      return instance.view()
    },
    sleepInstance: async ({ params, query }, { permit }) =>
      query.to === 'asleep'
        ? (await hosted.sleep(params.instance, query, permit)).view()
        : query.to === 'parked'
          ? (await hosted.park(params.instance, permit)).view()
          : (await hosted.freeze(params.instance, query.to)).view(),
    announceNow,
    checkInstance: ({ params, body }, { signal }) => instances.check(params.instance, body, signal),
    keepInstance: async ({ params, body }, { signal, permit }) => {
      const instance = await hosted.keep(params.instance, { ...body, permit }, AbortSignal.any([signal, ending]))
      return { app: appOf(instance.id), phase: instance.phase }
    },
    runScheduled: ({ params, body }, { signal, permit }) => {
      hosted.mustTake(appOf(params.instance))
      return scheduled.run(params.instance, body, permit, AbortSignal.any([signal, ending]))
    },
    listLoads: async () => ({ items: [...(await loads.now())] }),
    forgetInstance: ({ params }) => hosted.forgetInstance(params.instance),
    forgetApp: ({ params, query }) => hosted.forget(params.app, query.createdAt),
    instanceLogs: async ({ params, query: { tail, follow, ...query } }, { response, signal }) => {
      const options = { tail, follow, ...lineFilterOf(query, Date.now()) }
      response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
      response.flushHeaders()
      const until = AbortSignal.any([signal, ending])
      for await (const line of readLogs(params.instance, options, until))
        if (!response.write(`${JSON.stringify(line)}\n`))
          await once(response, 'drain', { signal: until }).catch(() => undefined) // and so ends the loop
      response.end()
    },
    followInstance: async ({ params }, { response, signal, permit }) => {
      const instance = await instanceOf(params.instance, permit)
      const send = openEvents(response, STREAM_HEARTBEAT_EVERY)
      for await (const view of instance.follow(AbortSignal.any([signal, ending])))
        send({ app: view.app, ...progressOf(view) })
      response.end()
    },
    followRollout: async ({ params, query: { revision, wake, within } }, { response, signal, permit }) => {
      const app = appOf(params.instance)
      await apps.resolve(app, permit)
      await apps.refresh(app) // a person who has just changed the app means the new definition
      const instance = await instanceOf(params.instance, permit)
      const until = AbortSignal.any([signal, ending, AbortSignal.timeout(within * 1_000)])
      const wanted = { revision: revision ?? instance.task.revision, wake }
      response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
      response.flushHeaders()
      const beat = setInterval(() => response.write('\n'), STREAM_HEARTBEAT_EVERY)
      try {
        for await (const told of followRollout(instance, wanted, until)) response.write(`${JSON.stringify(told)}\n`)
      } finally {
        clearInterval(beat)
      }
      response.end()
    },
    listVolumes: async () => ({ items: [...(await space.volumes())] }),
    removeVolume: ({ params, query }) => hosted.removeVolume({ id: params.volume, driver: query.driver }, query),
    sendVolume: ({ params, query }, { response, signal, permit }) =>
      moves.send({ ...params, ...query }, permit, response, AbortSignal.any([signal, ending])),
    receiveVolume: ({ params, body }, { signal }) =>
      moves.arrivals.receive({ ...params, ...body }, AbortSignal.any([signal, ending])),
    exportVolume: ({ params, query }, { response, signal, permit }) =>
      exports.send({ ...params, ...query }, permit, response, AbortSignal.any([signal, ending])),
    importVolume: ({ params, query }, { request }) => moves.arrivals.import({ ...params, ...query }, request),
    buildImage: ({ params: { app }, query }, { request, response, permit, signal }) =>
      builds.build({ app, permit }, query, request, response, AbortSignal.any([signal, ending])),
    loadImage: ({ params: { app } }, { request, response, permit, signal }) =>
      builds.load({ app, permit }, request, response, AbortSignal.any([signal, ending])),
    ...backupHandlers(backups, ending),
    ...historyHandlers(history),
    getVolumeMove: async ({ params }) => ({ move: moves.progress(params.volume) }),
    ...snapshots,
    statFile: async ({ params, query }, { permit, signal }) => ({
      file: (await files.stat({ ...params, ...query, permit }, AbortSignal.any([signal, ending]))) ?? null,
    }),
    readFiles: ({ params, query }, { response, permit, signal }) =>
      files.read({ ...params, ...query, permit }, AbortSignal.any([signal, ending]), async (tar, until) => {
        response.writeHead(200, { 'content-type': 'application/x-tar', 'cache-control': 'no-store' })
        await pipeline(Readable.from(tar, { objectMode: false }), response, { signal: until })
      }),
    writeFiles: ({ params, query }, { request, permit, signal }) =>
      files.write({ ...params, ...query, permit }, request, AbortSignal.any([signal, ending])),
  }
}

/** Answers calls of the API. */
export function apiHandler(handlers: Handlers, check: CallerCheck) {
  return async (request: StreamedRequest, response: StreamedResponse, signal: AbortSignal): Promise<void> => {
    const { method = 'GET', url: target = '/' } = request
    const url = URL.parse(target, 'http://node') // what begins with two slashes names a host, and may be none
    if (url === null) throw noCall(method, target)
    const { name, params } = callOf(method, url.pathname)
    const call: Calls[string] = nodeCalls[name]
    if (call.may !== 'anyone') check(request, call.may)
    const query = Object.fromEntries(url.searchParams)
    const body = call.body === undefined ? undefined : await readJson(request)
    const input = parseCall(call, { params, query, body })
    const handle = handlers[name] as (input: unknown, stream: Stream) => Promise<unknown>
    const answer = await handle(input, {
      request,
      response,
      signal,
      permit: request.headers[PERMIT_HEADER]?.toString(),
    })
    if (call.answer === 'nothing') response.writeHead(204).end()
    else if (call.answer !== 'stream') reply(response, 200, answer)
  }
}

const CALLS = Object.entries(nodePaths).map(([name, line]) => {
  const [method = '', path = ''] = line.split(' ')
  return { name: name as Name, method, pattern: new RegExp(`^${path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`) }
})

function callOf(method: string, path: string): { name: Name; params: Readonly<Record<string, string>> } {
  for (const { name, method: wanted, pattern } of CALLS) {
    const match = wanted === method ? pattern.exec(path) : null
    if (match !== null) return { name, params: decoded(match.groups ?? {}) }
  }
  throw noCall(method, path)
}

const noCall = (method: string, path: string): ShadowError =>
  new ShadowError('not-found', `this node has no call ${method} ${path.slice(0, 200)}`)

function decoded(params: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)]))
  } catch (cause) {
    throw new ShadowError('bad-input', 'the path is not well encoded', { cause })
  }
}
