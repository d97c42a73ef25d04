import { z } from 'zod'
import { SnapshotIdSchema } from '../../api/volume-schemas.ts'
import { escapeControls } from '../../lib/control-characters.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Handler, readJson, reply } from '../../lib/http/api/request-handler.ts'
import type { InstanceView } from '../../model/instance.ts'
import { duration, toMs } from '../../model/quantities.ts'
import { APP_KEEPS, MOST_APP_KEEPS, type Snapshot } from '../../model/snapshot.ts'
import { type BusyLease, LONGEST_BUSY_MS } from '../busy-leases.ts'

/** What an app may ask its node for. All of it is about its own instance. */
export type AppSocketCalls = {
  view(): InstanceView
  /** Since when nobody uses it, by the wall clock in ms; undefined if somebody does. */
  idleSince(): number | undefined
  busy(name: string, forMs: number, why: string): BusyLease
  leases(): readonly BusyLease[]
  endBusy(name: string): boolean
  /** Puts it to sleep as soon as nobody uses it. */
  sleepSoon(): void
  /** Takes a snapshot of its volume, and resolves when its storage has it. */
  snapshot(asked: SnapshotAsked): Promise<Snapshot>
  /** Takes a token for a call; otherwise after how many milliseconds there is one. */
  take(): number
}

export type SnapshotAsked = z.output<typeof SnapshotSchema>

const MOST_BODY_BYTES = 4_096
const LONGEST_WHY = 200
const DEFAULT_NAME = 'busy'

const BusySchema = z.strictObject({
  for: z
    .string()
    .transform((text, context): number => {
      try {
        return toMs(duration(text))
      } catch (error) {
        if (!(error instanceof ShadowError)) throw error
        context.addIssue({ code: 'custom', message: error.message })
        return z.NEVER
      }
    })
    .pipe(z.number().min(1_000, 'is less than 1s').max(LONGEST_BUSY_MS, 'is more than 24h')),
  why: z.string().min(1).max(LONGEST_WHY),
})

const SnapshotSchema = z.strictObject({
  name: SnapshotIdSchema.optional(),
  note: z
    .string()
    .max(LONGEST_WHY)
    .transform(text => escapeControls(text).replaceAll('\n', ' ').slice(0, LONGEST_WHY))
    .optional(),
  keep: z.int().min(1).max(MOST_APP_KEEPS).default(APP_KEEPS),
})

/** Serves what the app of one instance asks its node for. */
export function appSocketHandler(calls: AppSocketCalls): Handler {
  return async (request, response) => {
    const waitMs = calls.take()
    if (waitMs > 0) throw new ShadowError('rate-limited', 'too many calls on this socket', { retryAfterMs: waitMs })
    const { method = 'GET', url = '/' } = request
    const [path = '/'] = url.split('?', 1)
    const busy = /^\/v1\/busy(?:\/([a-z0-9-]{1,32}))?$/.exec(path)
    if (method === 'GET' && path === '/v1/instance') return reply(response, 200, stateOf(calls))
    if (busy !== null && method === 'PUT') {
      const { for: forMs, why } = parsed(BusySchema, BUSY_LIKE, await readJson(request, MOST_BODY_BYTES))
      const words = escapeControls(why).replaceAll('\n', ' ').slice(0, LONGEST_WHY)
      return reply(response, 200, leaseView(calls.busy(busy[1] ?? DEFAULT_NAME, forMs, words)))
    }
    if (busy !== null && method === 'DELETE') {
      const name = busy[1] ?? DEFAULT_NAME
      if (!calls.endBusy(name)) throw new ShadowError('not-found', `there is no busy lease "${name}"`)
      response.writeHead(204)
      return void response.end()
    }
    if (method === 'POST' && path === '/v1/snapshot') {
      const asked = parsed(SnapshotSchema, SNAPSHOT_LIKE, await readJson(request, MOST_BODY_BYTES))
      return reply(response, 201, snapshotView(await calls.snapshot(asked)))
    }
    if (method === 'POST' && path === '/v1/sleep') {
      calls.sleepSoon()
      return reply(response, 202, stateOf(calls))
    }
    throw new ShadowError('not-found', `there is no call ${method} ${path.slice(0, 100)}`, {
      hint: 'GET /v1/instance, PUT or DELETE /v1/busy[/NAME], POST /v1/snapshot, POST /v1/sleep',
    })
  }
}

const BUSY_LIKE = '{"for": "10m", "why": "resizing images"}'
const SNAPSHOT_LIKE = '{"note": "before the import", "keep": 7}'

function parsed<S extends z.ZodType>(schema: S, like: string, body: unknown): z.output<S> {
  const result = schema.safeParse(body ?? {})
  if (result.success) return result.data
  const faults = result.error.issues.map(({ path, message }) => ({ field: path.join('.') || 'body', message }))
  throw new ShadowError('bad-input', `the body is wrong; write it like ${like}`, { faults })
}

/** What an app is told of itself. It is not told who else uses it. */
function stateOf(calls: AppSocketCalls): object {
  const { app, instance, node, phase, since, revision, sleepsAt } = calls.view()
  const idleSince = calls.idleSince()
  return {
    ...{ app, instance, node, phase, since, revision },
    idleSince: idleSince === undefined ? null : new Date(idleSince).toISOString(),
    sleepsAt,
    busy: calls.leases().map(leaseView),
  }
}

const snapshotView = ({ id, takenAt, consistent, frozenMs, note }: Snapshot): object => ({
  id,
  takenAt,
  consistent,
  frozenMs,
  note,
})

const leaseView = ({ name, why, since, until }: BusyLease): object => ({
  name,
  why,
  since: new Date(since).toISOString(),
  until: new Date(until).toISOString(),
})
