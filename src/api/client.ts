import { Agent, type OutgoingHttpHeaders } from 'node:http'
import { type FailureCode, ShadowError, systemCode } from '../lib/errors.ts'
import { type Answer, call, json } from '../lib/http/api/call.ts'
import { MutualAgent } from '../lib/tls/agent.ts'
import type { ClientTls } from '../lib/tls/credentials.ts'
import { whyNotTrusted } from '../lib/tls/faults.ts'
import type { CallAnswer, CallInput, Calls } from './call-shape.ts'
import type { masterCalls } from './master-calls.ts'
import type { nodeCalls } from './node-calls.ts'
import { masterPaths, nodePaths } from './paths.ts'

type Options = {
  /** The URL of the daemon: `http://host:port`. */
  url: string
  /** Left out by a member of a cluster, which shows its certificate to masters. */
  token?: string | undefined
  /** How the daemons of a cluster know each other; for https:// without it, the system's own CAs count. */
  tls?: ClientTls | undefined
  /** Calls that take longer fail as if there were no answer. Streams and long waits pass their own signal instead. */
  withinMs: number
}
type Silent = Options & {
  /** The error code if the daemon does not answer. */
  silent: FailureCode
}

/** `content`: a body that is not JSON. It is read once, so such a call is not repeated. */
type Extra = { signal?: AbortSignal; headers?: OutgoingHttpHeaders; content?: AsyncIterable<Uint8Array> }
type Input<R> = CallInput<R> & Extra

/**
 * A typed client. It takes the name of a call and its input; it returns the answer, or throws the ShadowError that the daemon threw.
 */
export interface Client<R extends Calls> {
  call<Name extends keyof R & string>(name: Name, input: Input<R[Name]>): Promise<CallAnswer<R[Name]>>
  /** A call that returns the raw answer: for streams, ETag and 304. */
  raw<Name extends keyof R & string>(name: Name, input: Input<R[Name]>): Promise<Answer>
}

export type MasterClient = Client<typeof masterCalls>
export type NodeClient = Client<typeof nodeCalls>

/** A client of the master's API. A master that does not answer gives `master-unreachable`. */
export const masterClient = (options: Options): MasterClient =>
  client<typeof masterCalls>(masterPaths, { ...options, silent: 'master-unreachable' })

/** A client of a node's API; `token` is the node's key for control or for traffic. A node that does not answer gives `node-unreachable`. */
export const nodeClient = (options: Options): NodeClient =>
  client<typeof nodeCalls>(nodePaths, { ...options, silent: 'node-unreachable' })

type Loose = { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown } & Extra

function client<R extends Calls>(paths: Readonly<Record<string, string>>, options: Silent): Client<R> {
  const base = new URL(options.url)
  const { token, tls } = options
  const agent = new Agent({ keepAlive: true })
  const mutual = tls && new MutualAgent(tls)
  const agentNow = (): Agent | undefined => (base.protocol === 'https:' ? mutual?.current : agent)
  const raw = async (name: string, input: Loose): Promise<Answer> => {
    const [method = '', path = ''] = (paths[name] ?? '').split(' ')
    const url = new URL(
      path.replace(/:(\w+)/g, (_, param: string) => encodeURIComponent(String(input.params?.[param]))),
      base,
    )
    for (const [key, value] of Object.entries(input.query ?? {}))
      if (value !== undefined) url.searchParams.set(key, String(value))
    const signal = input.signal ?? AbortSignal.timeout(options.withinMs)
    try {
      return await call({
        method,
        url,
        headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...input.headers },
        body: input.body,
        content: input.content,
        signal,
        agent: agentNow(),
      })
    } catch (cause) {
      const timedOut = input.signal === undefined && signal.aborted
      if (!timedOut && systemCode(cause) === undefined) throw cause
      const untrusted = whyNotTrusted(cause, `the certificate of ${base.origin}`)
      if (untrusted !== undefined) throw new ShadowError(options.silent, untrusted, { cause, hint: hintFor(tls) })
      const why = timedOut ? `no answer within ${options.withinMs} ms` : (cause as Error).message
      throw new ShadowError(options.silent, `${base.origin} does not answer: ${why}`, { cause, retryAfterMs: 1_000 })
    }
  }
  return {
    raw: (name, input) => raw(name, input as unknown as Loose),
    call: async (name, input) => (await json(await raw(name, input as unknown as Loose))) as never,
  }
}

const hintFor = (tls: ClientTls | undefined): string =>
  tls === undefined
    ? 'is it the master of a cluster? shadow node join, shadow proxy join, or for the CLI: shadow context add NAME --ca FILE'
    : 'compare the clocks of both machines (timedatectl), and the CA: shadow cluster show'
