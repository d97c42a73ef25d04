import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { parseValue } from '../../api/parse-call.ts'
import type { Clock } from '../../lib/clock.ts'
import { readJson, reply } from '../../lib/http/api/request-handler.ts'
import { cpuPercent } from '../../model/stats.ts'
import type { Caller } from '../known-callers.ts'
import type { Relay } from '../relay.ts'
import type { SandboxCopies } from './copies.ts'
import { notOffered } from './faults.ts'
import { decoded } from './paths.ts'
import { detailed, listed, type SandboxApp, stateOf } from './sandbox-view.ts'
import type { Sandboxes } from './sandboxes.ts'

const DEFAULT_TIMEOUT_S = 300
const MOST_TIMEOUT_S = 366 * 86_400
const timeout = z.int().min(0).max(MOST_TIMEOUT_S)
const texts = (most: number) =>
  z
    .record(z.string().min(1).max(200), z.string().max(2_000))
    .refine(all => JSON.stringify(all).length <= most, { error: `is longer than ${most} bytes` })
const MOST_METADATA_BYTES = 8_192

const newSandbox = z.object({
  templateID: z.string().default('base'),
  timeout: timeout.default(DEFAULT_TIMEOUT_S),
  metadata: texts(MOST_METADATA_BYTES).nullish(),
  envVars: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/), z.string().max(32_768)).nullish(),
  autoPause: z.boolean().nullish(),
  autoPauseMemory: z.boolean().nullish(),
  autoResume: z.object({ enabled: z.boolean().nullish() }).nullish(),
  allow_internet_access: z.boolean().nullish(),
  network: z.unknown().optional(),
  iam: z.unknown().optional(),
  mcp: z.unknown().optional(),
  volumeMounts: z.array(z.unknown()).nullish(),
})
const connectBody = z.object({ timeout: timeout.default(DEFAULT_TIMEOUT_S) })
const pauseBody = z.object({ memory: z.boolean().nullish() })
const forkBody = z.object({ timeout: timeout.default(DEFAULT_TIMEOUT_S), count: z.int().min(1).nullish() })
const snapshotQuery = z.object({
  sandboxID: z.string().optional(),
  name: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  nextToken: z.string().optional(),
})
const listQuery = z.object({
  metadata: z.string().max(MOST_METADATA_BYTES).optional(),
  state: z.string().optional(),
  template: z.string().optional(),
  startedAfter: z.string().optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  nextToken: z.string().optional(),
})

export type ControlCall = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
  readonly caller: Caller
  readonly signal: AbortSignal
}
type Parts = {
  readonly sandboxes: Sandboxes
  readonly copies: SandboxCopies
  readonly relay: Pick<Relay, 'stats'>
  readonly front: () => string | undefined
  readonly clock: Clock
}
type Route = (call: ControlCall, id: string) => Promise<void>

/** The calls of E2B's API that we have: `:id` is that of a sandbox. Any other one is answered by 501. */
export function controlRoutes({ sandboxes, copies, relay, front, clock }: Parts): Readonly<Record<string, Route>> {
  const bodyOf = async <T>(schema: z.ZodType<T>, { request }: ControlCall): Promise<T> =>
    parseValue(schema, (await readJson(request)) ?? {})

  const create: Route = async call => {
    const asked = await bodyOf(newSandbox, call)
    for (const [is, what] of lacking(asked)) if (is) throw notOffered(what)
    const { caller, signal } = call
    const made = {
      env: asked.envVars ?? {},
      metadata: asked.metadata ?? {},
      timeoutMs: asked.timeout * 1_000,
      atTimeout: asked.autoPause === true ? ('pause' as const) : ('end' as const),
    }
    const from = await copies.parts(asked.templateID, caller)
    const sandbox =
      from === undefined
        ? await sandboxes.create({ ...made, template: asked.templateID }, caller, signal)
        : await copies.copy(from.app, from.snapshot, made, caller, signal)
    reply(call.response, 201, sandbox)
  }

  const list =
    (usual: string): Route =>
    async ({ response, query, caller }) => {
      const asked = parseValue(listQuery, Object.fromEntries(query))
      const wanted = (asked.state ?? usual).split(',')
      // Clients encode each name and value before the whole.
      const metadata = [...new URLSearchParams(asked.metadata ?? '')].map(pair => pair.map(decoded) as [string, string])
      const startedAfter = asked.startedAfter === undefined ? 0 : Date.parse(asked.startedAfter)
      const fits = (app: SandboxApp): boolean =>
        wanted.includes(stateOf(app)) &&
        (asked.template === undefined || app.session.template === asked.template) &&
        Date.parse(app.createdAt) > startedAfter &&
        metadata.every(([name, value]) => app.session.sandbox.metadata[name] === value)
      const all = sandboxes.list(caller).filter(fits)
      const ordered = asked.order === 'asc' ? all.toReversed() : all
      const after = asked.nextToken === undefined ? -1 : ordered.findIndex(one => positionOf(one) === asked.nextToken)
      const page = ordered.slice(after + 1, after + 1 + asked.limit)
      const last = page.at(-1)
      const hasMore = after + 1 + page.length < ordered.length
      reply(response, 200, page.map(listed), hasMore && last ? { 'x-next-token': positionOf(last) } : {})
    }

  const metrics: Route = async ({ response, caller, signal }, id) => {
    const app = await sandboxes.own(id, caller)
    const read = async () => (await relay.stats()).items.find(({ instance }) => instance === (app.name as string))
    const first = await read()
    await new Promise(resolve => setTimeout(resolve, BETWEEN_READINGS_MS))
    signal.throwIfAborted()
    const now = first && (await read())
    if (now === undefined) return reply(response, 200, [])
    const wall = clock.wall()
    reply(response, 200, [
      {
        timestamp: new Date(wall).toISOString(),
        timestampUnix: Math.floor(wall / 1_000),
        cpuCount: Math.max(1, Math.ceil(now.cpus)),
        // E2B counts in percent of all its processors.
        cpuUsedPct: (cpuPercent(now, first) ?? 0) / Math.max(1, Math.ceil(now.cpus)),
        memUsed: now.memoryBytes,
        memTotal: now.memoryLimitBytes,
        memCache: 0,
        diskUsed: now.volume?.usedBytes ?? 0,
        diskTotal: now.volume?.sizeBytes ?? 0,
      },
    ])
  }

  const none = (response: ServerResponse): void => reply(response, 204, undefined)

  const connect: Route = async (call, id) => {
    const asked = await bodyOf(connectBody, call)
    const { resumed, sandbox } = await sandboxes.connect(id, asked.timeout * 1_000, call.caller, call.signal)
    reply(call.response, resumed ? 201 : 200, sandbox)
  }

  return {
    'POST /sandboxes': create,
    'POST /v2/sandboxes': create,
    'GET /sandboxes': list('running'),
    'GET /v2/sandboxes': list('running,paused'),
    'GET /sandboxes/:id': async ({ response, caller }, id) =>
      reply(response, 200, detailed(await sandboxes.own(id, caller), front())),
    async 'DELETE /sandboxes/:id'({ response, caller, signal }, id) {
      await sandboxes.kill(id, caller, signal)
      none(response)
    },
    'POST /sandboxes/:id/connect': connect,
    'POST /v2/sandboxes/:id/connect': connect,
    'POST /sandboxes/:id/resume': connect,
    async 'POST /sandboxes/:id/timeout'(call, id) {
      const asked = await bodyOf(z.object({ timeout }), call)
      await sandboxes.setTimeout(id, asked.timeout * 1_000, call.caller)
      none(call.response)
    },
    async 'POST /sandboxes/:id/refreshes'(call, id) {
      const asked = await bodyOf(z.object({ duration: timeout.default(DEFAULT_TIMEOUT_S) }), call)
      await sandboxes.setTimeout(id, asked.duration * 1_000, call.caller, true)
      none(call.response)
    },
    async 'POST /sandboxes/:id/pause'(call, id) {
      const { memory } = await bodyOf(pauseBody, call)
      if (memory === true) throw notOffered('a pause that keeps the memory')
      await sandboxes.pause(id, call.caller, call.signal)
      none(call.response)
    },
    'GET /sandboxes/:id/metrics': metrics,
    async 'POST /sandboxes/:id/snapshots'(call, id) {
      const { name } = await bodyOf(z.object({ name: z.string().nullish() }), call)
      reply(call.response, 201, await copies.snapshot(id, name ?? undefined, call.caller, call.signal))
    },
    async 'GET /snapshots'({ response, query, caller }) {
      const asked = parseValue(snapshotQuery, Object.fromEntries(query))
      const all = await copies.list(asked.sandboxID, caller)
      const fitting = all.filter(({ names }) => asked.name === undefined || names.includes(asked.name))
      const after = asked.nextToken === undefined ? -1 : fitting.findIndex(one => one.snapshotID === asked.nextToken)
      const page = fitting.slice(after + 1, after + 1 + asked.limit)
      const last = page.at(-1)
      const hasMore = after + 1 + page.length < fitting.length
      reply(response, 200, page, hasMore && last ? { 'x-next-token': last.snapshotID } : {})
    },
    async 'DELETE /templates/:id'({ response, caller }, id) {
      await copies.remove(id, caller)
      none(response)
    },
    async 'POST /sandboxes/:id/fork'(call, id) {
      const asked = await bodyOf(forkBody, call)
      const made = await copies.fork(id, asked.count ?? 1, asked.timeout * 1_000, call.caller, call.signal)
      reply(call.response, 201, made)
    },
  }
}

const BETWEEN_READINGS_MS = 200

/** What a new sandbox may be asked to have, and ours has not. */
const lacking = (asked: z.output<typeof newSandbox>): readonly (readonly [boolean, string])[] => [
  [asked.mcp != null, 'mcp'],
  [asked.network != null, 'network'],
  [asked.iam != null, 'iam'],
  [(asked.volumeMounts ?? []).length > 0, 'volumeMounts'],
  [asked.allow_internet_access === false, 'allow_internet_access: false'],
  [asked.autoResume?.enabled === true, 'autoResume'],
  [asked.autoPauseMemory === true, 'a pause that keeps the memory'],
]

const positionOf = ({ createdAt, name }: SandboxApp): string =>
  Buffer.from(`${createdAt} ${name}`).toString('base64url')
