import type { Exchange } from '../../lib/http/exchange.ts'

/** Where pages read the state of a session, on its own hostname. */
export const STATUS_PATH = '/.shadow/session'

const BELOW_TOKEN = /^\/[A-Za-z0-9_-]{16,200}\/\.shadow\/session$/
const isForStatus = (exchange: Exchange): boolean => exchange.isFor(STATUS_PATH) || BELOW_TOKEN.test(exchange.target)

/** Pages of other origins may read the state of a session, and why there is none. They show a token, since no cookie comes with their requests. */
export function letsOthersRead(exchange: Exchange): void {
  if (isForStatus(exchange)) exchange.ownHeaders['access-control-allow-origin'] = '*'
}

/** Answers a preflight (Fetch, 4.8) for the state of a session. It has no token, and its answer reveals nothing. */
export function answersPreflight(exchange: Exchange): boolean {
  if (exchange.method !== 'OPTIONS' || !isForStatus(exchange)) return false
  if (exchange.header('access-control-request-method') === undefined) return false
  exchange.answer({
    status: 204,
    headers: {
      'access-control-allow-methods': 'GET',
      'access-control-allow-headers': 'authorization',
      'access-control-max-age': '600',
    },
  })
  return true
}
