import { FRAME, jsonOf, SESSION_TYPE, SessionChannel } from '../../api/exec-channel.ts'
import { type SessionStart, SessionStartSchema } from '../../api/exec-schemas.ts'
import { parseValue } from '../../api/parse-call.ts'
import { deadline, orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import type { Log } from '../../lib/log.ts'
import {
  SESSION_LOST_AFTER,
  SESSION_START_WITHIN,
  SESSIONS_PER_APP,
  SESSIONS_PER_NODE,
  sayCommand,
} from '../../model/exec.ts'
import { appOf, type InstanceId, logFields } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import type { Apps } from '../apps.ts'
import type { HostedApps } from '../hosted-apps.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Terminal } from '../runtime/terminal.ts'
import type { Consoles } from './consoles.ts'
import { runSession } from './session.ts'
import { SessionCounts } from './session-counts.ts'

type Options = {
  readonly node: NodeName
  readonly hosted: Pick<HostedApps, 'hold' | 'containerOf'> & { readonly apps: Pick<Apps, 'resolve'> }
  readonly runtime: Pick<Runtime, 'exec' | 'connect'>
  readonly consoles: Pick<Consoles, 'open'>
  /** After so long without input and output a session ends. */
  readonly idleMs: number
  readonly clock: Clock
  readonly log: Log
  /** Ends the sessions when the node stops. */
  readonly ending: AbortSignal
}

/** What a caller asks for: `by` is who asked, `wake`: whether an app that sleeps is woken. */
type Asked = { readonly instance: InstanceId; readonly by: string; readonly wake: boolean }
type Stream = {
  readonly request: StreamedRequest
  readonly response: StreamedResponse
  readonly signal: AbortSignal
  readonly permit: string | undefined
}

/** The sessions in the containers of this node. Each one holds its app awake, and ends with its client. */
export class Sessions {
  readonly #options: Options
  readonly #counts = new SessionCounts({ what: 'sessions', perApp: SESSIONS_PER_APP, perNode: SESSIONS_PER_NODE })

  constructor(options: Options) {
    this.#options = options
  }

  /** Serves a session on this request, until it has ended. Fails if it cannot begin; later failures are told in its last frame. */
  async serve(asked: Asked, { request, response, signal, permit }: Stream): Promise<void> {
    const { node, clock, ending, log } = this.#options
    const { instance, by } = asked
    const lost = (): ShadowError => new ShadowError('client-gone', `the client was silent for ${SESSION_LOST_AFTER} ms`)
    using channel = new SessionChannel({ incoming: request, outgoing: response, clock, lost })
    const start = await this.#startOf(channel)
    using _counted = this.#counts.take(appOf(instance))
    const what = `${say(start)} by ${by}`
    await using opened = await this.#open(start, { ...asked, what, permit }, AbortSignal.any([signal, ending]))
    const { terminal, ended } = opened
    response.writeHead(200, { 'content-type': SESSION_TYPE, 'cache-control': 'no-store' })
    const since = clock.now()
    log.info('session begins', { ...logFields(instance), what })
    try {
      await channel.sendJson(FRAME.started, { instance, node })
      channel.startPings()
      const { idleMs } = this.#options
      await runSession({ channel, terminal, idleMs, endsWithOutput: start.kind === 'tcp', clock, signal: ended })
    } catch (cause) {
      log.error('session failed', { ...logFields(instance), what, cause })
    } finally {
      log.info('session ends', { ...logFields(instance), what, ms: clock.now() - since })
      response.end()
    }
  }

  /** What the session is for, as its first frame says. */
  async #startOf(channel: SessionChannel): Promise<SessionStart> {
    const late = (): ShadowError => new ShadowError('too-slow', 'the session did not say what it is for')
    using limit = deadline(this.#options.clock, SESSION_START_WITHIN, late)
    const frame = await orAborted(channel.next(), limit.signal)
    if (frame?.type !== FRAME.start)
      throw new ShadowError('bad-input', 'the first frame of a session has to be its start')
    return parseValue(SessionStartSchema, jsonOf(frame))
  }

  /** Opens the other end. Disposing of it gives up what it holds. */
  async #open(start: SessionStart, { instance, what, wake, permit }: Wanted, signal: AbortSignal): Promise<Opened> {
    const { hosted, runtime, consoles } = this.#options
    if (start.kind === 'console') {
      const { task } = await hosted.apps.resolve(appOf(instance), permit)
      return {
        terminal: await consoles.open(task, start, signal),
        ended: signal,
        [Symbol.asyncDispose]: async () => undefined,
      }
    }
    const going = new AbortController()
    const ended = AbortSignal.any([signal, going.signal])
    const goAway = (): void => going.abort(stops(instance))
    const request = { kind: 'session', what, bytes: 0, mayWake: wake, goAway, permit } as const
    const held = await hosted.hold(instance, request, { signal: ended })
    try {
      const container = hosted.containerOf(instance, held)
      const terminal = await (start.kind === 'tcp'
        ? runtime.connect(container, start.port, ended)
        : runtime.exec(container, start, ended))
      return { terminal, ended, [Symbol.asyncDispose]: async () => held[Symbol.dispose]() }
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }
}

type Wanted = Asked & { readonly what: string; readonly permit: string | undefined }
/** `ended` aborts when the session has to end. */
type Opened = AsyncDisposable & { readonly terminal: Terminal; readonly ended: AbortSignal }

const say = (start: SessionStart): string =>
  start.kind === 'tcp' ? `connection to port ${start.port}` : `${start.kind} \`${sayCommand(start.command)}\``

const stops = (instance: InstanceId): ShadowError =>
  new ShadowError('app-asleep', `${instance} is being stopped`, { hint: `see why: shadow why ${appOf(instance)}` })
