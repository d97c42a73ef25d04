import type { IncomingMessage } from 'node:http'
import { ShadowError } from '../lib/errors.ts'
import type { UpstreamError } from '../lib/http/forward.ts'
import type { Ask } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import { WAKE_HEADER } from './paths.ts'

// What node:http reads of a body before anybody asks for it.
const READ_AHEAD_BYTES = 65_536
const LONGEST_WHAT = 200

/** Headers that begin so are ours alone: from clients and from apps they are dropped. */
export const OURS = 'x-shadow-'
/** How often a request is forwarded before it fails, as long as nobody has seen it. */
export const TRIES = 3

/** What a request asks of the node that has its app; `from` is the client it came from. */
export function askOf(request: IncomingMessage, from: string, patienceMs: number | undefined): Ask {
  const { headers, method, url = '/' } = request
  return {
    kind: headers.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'request',
    what: `${method} ${url.split('?', 1)[0]} from ${from}`.slice(0, LONGEST_WHAT),
    bytes: bytesOf(request),
    mayWake: headers[WAKE_HEADER] !== 'never',
    patienceMs,
  }
}

/** Memory that the request takes while it waits. */
function bytesOf({ rawHeaders, headers }: IncomingMessage): number {
  const head = rawHeaders.reduce((sum, text) => sum + text.length + 2, 0)
  const hasBody = headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined
  return head + (hasBody ? Math.min(Number(headers['content-length'] ?? READ_AHEAD_BYTES), READ_AHEAD_BYTES) : 0)
}

/** The error of an app that is awake, or was, and did not serve the request that was forwarded to it. */
export const appUnreachable = (app: AppName, error: UpstreamError): ShadowError =>
  new ShadowError('app-unreachable', `${app} ${wentWrong[error.stage]}: ${error.message}`, {
    cause: error,
    hint: `shadow logs ${app}`,
  })

const wentWrong = {
  connect: 'refused the connection',
  send: 'cut the connection before it had the request',
  head: 'cut the connection before it answered',
  body: 'cut the connection in the middle of its answer',
} as const
