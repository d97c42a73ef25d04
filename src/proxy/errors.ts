import { ERROR_HEADER, STATE_HEADER } from '../api/paths.ts'
import { asShadowError, type FailureCode, ShadowError } from '../lib/errors.ts'
import { problemAnswer, retryAfter } from '../lib/http/answers.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { Log } from '../lib/log.ts'
import { withoutLastLines } from '../model/last-lines.ts'
import { EVENTS_PATH } from './events.ts'
import { errorPage } from './pages/error.ts'
import { waitingPage } from './pages/waiting.ts'
import { isNavigation } from './visitor.ts'

/** What an error says of the app: more than its phase, which after a crash is still "stopping" for a moment. */
const STATES: Partial<Record<FailureCode, string>> = {
  'host-unknown': 'unknown',
  'app-not-found': 'unknown',
  'app-asleep': 'asleep',
  'app-waking': 'waking',
  'app-crashed': 'crashed',
  'app-not-ready': 'crashed',
  'app-stuck': 'stuck',
  'node-unreachable': 'unreachable',
  'no-node': 'unreachable',
}

/** Answers with the error: a page for a browser that opens one, a problem document for everything else. */
export function answerError(exchange: Exchange, thrown: unknown, log: Log): void {
  const error = forVisitors(asShadowError(thrown))
  const state = STATES[error.code]
  if (state !== undefined) exchange.ownHeaders[STATE_HEADER] = state
  if (error.code === 'internal' || !isNavigation(exchange)) {
    exchange.answer(problemAnswer(error, log, exchange))
    return
  }
  const isWait = error.code === 'app-waking'
  exchange.answer({
    status: error.status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      [ERROR_HEADER]: error.code,
      ...retryAfter(isWait ? 1_000 : error.details.retryAfterMs),
    },
    body: isWait ? waitingPage(EVENTS_PATH) : errorPage(error),
  })
}

/** An app's lines may hold secrets; who runs it has them by `shadow logs`. */
function forVisitors(error: ShadowError): ShadowError {
  const message = withoutLastLines(error.message)
  return message === error.message ? error : new ShadowError(error.code, message, error.details)
}
