import { FRAME, jsonOf, SESSION_TYPE, SessionChannel } from '../../api/exec-channel.ts'
import { ConnectionStartSchema } from '../../api/exec-schemas.ts'
import { parseValue } from '../../api/parse-call.ts'
import { deadline, orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import type { Log } from '../../lib/log.ts'
import {
  CONNECTIONS_PER_APP,
  CONNECTIONS_PER_NODE,
  SESSION_LOST_AFTER,
  SESSION_START_WITHIN,
} from '../../model/exec.ts'
import { appOf, type InstanceId, logFields } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import { runSession } from '../exec/session.ts'
import { SessionCounts } from '../exec/session-counts.ts'
import type { HostedApps } from '../hosted-apps.ts'
import type { Instance } from '../instance.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Terminal } from '../runtime/terminal.ts'

type Options = {
  readonly node: NodeName
  readonly hosted: Pick<HostedApps, 'hold' | 'containerOf'> & {
    readonly instances: { get(id: InstanceId): Pick<Instance, 'badConnection'> | undefined }
  }
  readonly runtime: Pick<Runtime, 'connect'>
  readonly clock: Clock
  readonly log: Log
  /** Ends the connections when the node stops. */
  readonly ending: AbortSignal
}

/** A connection that is asked for: `by` is the client, `wake`: whether an app that sleeps is woken. */
export type Asked = {
  readonly instance: InstanceId
  readonly by: string
  readonly wake: boolean
  readonly permit: string | undefined
}
type Stream = {
  readonly request: StreamedRequest
  readonly response: StreamedResponse
  readonly signal: AbortSignal
}

/** `ended` aborts when the connection has to end. Disposing of it gives up what it holds. */
export type AppConnection = AsyncDisposable & { readonly terminal: Terminal; readonly ended: AbortSignal }

/** The connections of clients of fronts to TCP ports of the containers of this node. Each one holds its app awake. */
export class Connections {
  readonly #options: Options
  readonly #counts = new SessionCounts({
    what: 'connections',
    perApp: CONNECTIONS_PER_APP,
    perNode: CONNECTIONS_PER_NODE,
  })

  constructor(options: Options) {
    this.#options = options
  }

  /** Serves a connection of a front on this request, until both sides have ended. Fails if it cannot begin; later failures are in its last frame. */
  async serve(asked: Asked, { request, response, signal }: Stream): Promise<void> {
    const { node, clock, log } = this.#options
    const { instance } = asked
    const lost = (): ShadowError => new ShadowError('client-gone', `the front was silent for ${SESSION_LOST_AFTER} ms`)
    using channel = new SessionChannel({ incoming: request, outgoing: response, clock, lost })
    const port = await this.#portOf(channel)
    await using opened = await this.open(asked, port, signal)
    const { terminal, ended } = opened
    response.writeHead(200, { 'content-type': SESSION_TYPE, 'cache-control': 'no-store' })
    try {
      await channel.sendJson(FRAME.started, { instance, node })
      channel.startPings()
      await runSession({ channel, terminal, idleMs: undefined, halfCloses: true, clock, signal: ended })
    } catch (cause) {
      log.error('connection failed', { ...logFields(instance), port, cause })
    } finally {
      response.end()
    }
  }

  /** Connects to a port of the instance, waking it first. Fails with `app-unreachable` where nothing listens on the port, and as a wake does. */
  async open({ instance, by, wake, permit }: Asked, port: number, given: AbortSignal): Promise<AppConnection> {
    const { hosted, runtime, ending } = this.#options
    const app = appOf(instance)
    const signal = AbortSignal.any([given, ending])
    await using opening = new AsyncDisposableStack()
    opening.use(this.#counts.take(app))
    const going = new AbortController()
    const ended = AbortSignal.any([signal, going.signal])
    const goAway = (): void => going.abort(new ShadowError('app-asleep', `${instance} is being stopped`))
    const request = {
      kind: 'connection',
      what: `connection to port ${port} from ${by}`,
      bytes: 0,
      mayWake: wake,
      goAway,
      permit,
    } as const
    const held = opening.use(await hosted.hold(instance, request, { signal: ended }))
    const container = hosted.containerOf(instance, held)
    try {
      const terminal = await runtime.connect(container, port, ended)
      opening.defer(() => terminal.end())
      const rest = opening.move()
      return { terminal, ended, [Symbol.asyncDispose]: () => rest.disposeAsync() }
    } catch (error) {
      if (isFailure(error, 'app-unreachable')) hosted.instances.get(instance)?.badConnection(error.message)
      throw error
    }
  }

  async #portOf(channel: SessionChannel): Promise<number> {
    const late = (): ShadowError => new ShadowError('too-slow', 'the connection did not say what it is for')
    using limit = deadline(this.#options.clock, SESSION_START_WITHIN, late)
    const frame = await orAborted(channel.next(), limit.signal)
    if (frame?.type !== FRAME.start)
      throw new ShadowError('bad-input', 'the first frame of a connection has to be its start')
    return parseValue(ConnectionStartSchema, jsonOf(frame)).port
  }
}
