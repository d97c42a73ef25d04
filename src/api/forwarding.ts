import { fromProblem, ShadowError } from '../lib/errors.ts'
import type { GoneUpstream, UpstreamError } from '../lib/http/next-hop.ts'
import { serverTiming } from '../lib/http/wire/server-timing.ts'
import type { EndedRun, Held } from '../model/instance.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { NODE_HEADER } from './paths.ts'

/** Headers with this prefix are Shadow's own. They are removed from requests of clients and answers of apps. */
export const OURS = 'x-shadow-'

const ONLY_NODE = new Map<NodeName, Readonly<Record<string, string>>>()

/** Headers of an answer: the node, and the times that the request waited. Usually the same object for the same node, since the forwarder caches by it. */
export function servedBy(node: NodeName, waited: Held['waited'], cookie?: string): Readonly<Record<string, string>> {
  if (cookie !== undefined) return { ...servedBy(node, waited), 'set-cookie': cookie }
  if (waited !== undefined) return { [NODE_HEADER]: node, 'server-timing': serverTiming(waited) }
  let headers = ONLY_NODE.get(node)
  if (headers === undefined) {
    headers = { [NODE_HEADER]: node }
    ONLY_NODE.set(node, headers)
  }
  return headers
}

/** The error of an app that is or was awake and did not serve a request that was forwarded to it. */
export function appUnreachable(app: AppName, error: UpstreamError): ShadowError {
  const cause = { cause: error }
  if (error.isRefused)
    return new ShadowError('app-bad-answer', `an answer of ${app} was refused: ${error.message}`, {
      ...cause,
      hint: `shadow why ${app}`,
    })
  if (error.isLate)
    return new ShadowError('answer-late', `${app} had the request and did not begin its answer in time`, {
      ...cause,
      hint: `shadow access ${app} --answer-within`,
    })
  return new ShadowError('app-unreachable', `${app} ${wentWrong[error.stage]}: ${error.message}`, {
    ...cause,
    hint: `shadow logs ${app}`,
  })
}

/** A run of an app that takes no more requests, in the form that forwarders need. */
export const goneUpstream = ({ run, address, problem }: EndedRun): GoneUpstream => ({
  upstream: run,
  address,
  cause: fromProblem(problem),
})

const wentWrong = {
  connect: 'refused the connection',
  send: 'cut the connection before it had the request',
  head: 'cut the connection before it answered',
  body: 'cut the connection in the middle of its answer',
} as const
