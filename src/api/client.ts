import { Agent, type OutgoingHttpHeaders } from 'node:http'
import { type FailureCode, ShadowError, systemCode } from '../lib/errors.ts'
import { type Answer, call, json } from '../lib/http/api/call.ts'
import type { CallAnswer, CallInput, Calls, masterCalls, nodeCalls } from './calls.ts'
import { masterPaths, nodePaths } from './paths.ts'

type Options = {
  /** The URL of the daemon: `http://host:port`. */
  url: string
  token: string
  /** The error code if the daemon does not answer. */
  silent: FailureCode
  /** Calls that take longer fail as if there were no answer. Streams and long waits pass their own signal instead. */
  withinMs: number
}

type Extra = { signal?: AbortSignal; headers?: OutgoingHttpHeaders }
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
export const masterClient = (options: { url: string; token: string; withinMs: number }): MasterClient =>
  client<typeof masterCalls>(masterPaths, { ...options, silent: 'master-unreachable' })

/** A client of a node's API; `token` is the node's key for control or for traffic. A node that does not answer gives `node-unreachable`. */
export const nodeClient = (options: { url: string; token: string; withinMs: number }): NodeClient =>
  client<typeof nodeCalls>(nodePaths, { ...options, silent: 'node-unreachable' })

type Loose = { params?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown } & Extra

function client<R extends Calls>(paths: Readonly<Record<string, string>>, options: Options): Client<R> {
  const agent = new Agent({ keepAlive: true })
  const base = new URL(options.url)
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
        headers: { authorization: `Bearer ${options.token}`, ...input.headers },
        body: input.body,
        signal,
        agent: base.protocol === 'https:' ? undefined : agent,
      })
    } catch (cause) {
      const timedOut = input.signal === undefined && signal.aborted
      if (!timedOut && systemCode(cause) === undefined) throw cause
      const why = timedOut ? `no answer within ${options.withinMs} ms` : (cause as Error).message
      throw new ShadowError(options.silent, `${base.origin} does not answer: ${why}`, { cause, retryAfterMs: 1_000 })
    }
  }
  return {
    raw: (name, input) => raw(name, input as unknown as Loose),
    call: async (name, input) => (await json(await raw(name, input as unknown as Loose))) as never,
  }
}
