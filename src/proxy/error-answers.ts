import { randomUUID } from 'node:crypto'
import { ERROR_HEADER, STATE_HEADER } from '../api/paths.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, type FailureCode, type ShadowError } from '../lib/errors.ts'
import type { AnswerOf, Exchange, OwnAnswer } from '../lib/http/exchange.ts'
import { retryAfter } from '../lib/http/problem-answer.ts'
import type { Log } from '../lib/log.ts'
import { withoutLastLines } from '../model/last-lines.ts'
import type { Route } from '../model/route.ts'
import { errorPage } from './pages/error.ts'
import { ownPage } from './pages/own.ts'
import { waitingPage } from './pages/waiting.ts'
import { wordsOf } from './pages/words.ts'
import { isNavigation } from './visitor.ts'
import { EVENTS_PATH } from './wake-events.ts'

/** What an error says of the app: more than its phase, which after a crash is still "stopping" for a moment. */
const STATES: Partial<Record<FailureCode, string>> = {
  'host-unknown': 'unknown',
  'app-not-found': 'unknown',
  'is-template': 'template',
  'session-not-found': 'ended',
  'app-asleep': 'asleep',
  'app-waking': 'waking',
  'app-crashed': 'crashed',
  'app-not-ready': 'crashed',
  'app-paused': 'paused',
  'app-stuck': 'stuck',
  'node-unreachable': 'unreachable',
  'no-node': 'unreachable',
}

/** The most failures logged in a second. Further ones are counted, and the next log entry has their number. */
const MOST_LOGGED = 20
const SECOND_MS = 1_000

/**
 * Answers visitors whose requests failed: a browser that opens a page gets a page, everything else a problem document (RFC 9457). Both have
 * the code, a sentence and an id. The details are in the log under the id, for the owner.
 */
export class ErrorAnswers {
  readonly #log: Log
  readonly #clock: Clock
  #second = Number.NaN
  #logged = 0
  #unlogged = 0

  constructor({ log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.#log = log
    this.#clock = clock
  }

  /** Answers a request that failed; `app`: the one that it was for, if that is known and may have been reached. */
  answer(exchange: Exchange, thrown: unknown, app?: Pick<Route, 'name' | 'pages'>): void {
    const error = asShadowError(thrown)
    const state = STATES[error.code]
    if (state !== undefined) exchange.ownHeaders[STATE_HEADER] = state
    const id = this.#note(error, exchange)
    exchange.answer(isNavigation(exchange) ? pageOf(error, id, app) : documentOf(error, id))
  }

  /** The answer to a request that was not even understood. */
  readonly answerOf: AnswerOf = (thrown, of) => {
    const error = asShadowError(thrown)
    return documentOf(error, this.#note(error, of))
  }

  /** Logs the error, and returns the id of the log entry. Refusals are logged at debug level: they are no fault of ours. */
  #note(
    error: ShadowError,
    of?: { readonly method: string; readonly target: string; readonly host?: string | undefined },
  ) {
    const id = randomUUID()
    const { code, message, details, status } = error
    const detail = withoutLastLines(message) // the output of the app is in its own log
    const cause = details.cause ?? (code === 'internal' ? error : undefined)
    const entry = { id, code, detail, host: of?.host, method: of?.method, url: of?.target.split('?', 1)[0], cause }
    if (status < 500) this.#log.debug('request refused', entry)
    else if (this.#mayLog()) {
      const fields = this.#unlogged > 0 ? { ...entry, unlogged: this.#unlogged } : entry
      this.#unlogged = 0
      if (code === 'internal') this.#log.error('request failed', fields)
      else this.#log.info('request failed', fields)
    } else this.#unlogged += 1
    return id
  }

  #mayLog(): boolean {
    const second = Math.floor(this.#clock.now() / SECOND_MS)
    if (second !== this.#second) this.#logged = 0
    this.#second = second
    this.#logged += 1
    return this.#logged <= MOST_LOGGED
  }
}

function documentOf(error: ShadowError, id: string): OwnAnswer {
  const { code, status, details } = error
  const { title, text: detail } = wordsOf(error)
  // How the app ended reveals nothing of this machine, and a program can see whether its request was the cause.
  const facts = code === 'app-crashed' ? details.facts : undefined
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      [ERROR_HEADER]: code,
      ...retryAfter(details.retryAfterMs),
    },
    body: `${JSON.stringify({ type: `urn:shadow:${code}`, title, status, code, detail, ...(facts && { facts }), id })}\n`,
  }
}

function pageOf(error: ShadowError, id: string, app: Pick<Route, 'name' | 'pages'> | undefined): OwnAnswer {
  const isWait = error.code === 'app-waking'
  const own = app && ownPage(app.pages, { app: app.name, error, id, eventsPath: EVENTS_PATH })
  const { body, headers } =
    own ?? (isWait && app ? waitingPage({ app: app.name, eventsPath: EVENTS_PATH }) : errorPage(error, id, app?.name))
  return {
    status: error.status,
    headers: {
      ...headers,
      [ERROR_HEADER]: error.code,
      ...retryAfter(isWait ? 1_000 : error.details.retryAfterMs),
    },
    body,
  }
}
