import { deliver } from '../api/delivery.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { byHandler } from '../lib/http/api/request-handler.ts'
import type { Exchange, RequestHandler } from '../lib/http/exchange.ts'
import { type Hostname, hostOf } from '../model/hostname.ts'
import { isPaused, type Pause } from '../model/pause.ts'
import type { Route } from '../model/route.ts'
import { isTemplate, type PortHost, portHost, type Session } from '../model/session.ts'
import { answerChallenge, challengeToken } from './acme/challenge.ts'
import { AppRequest, type AppRequestGiven } from './app-request.ts'
import type { FrontParts } from './front-parts.ts'
import { HSTS_HEADER } from './https.ts'
import { nodeOf } from './node-choice.ts'
import { answerStatus } from './sessions/session-status.ts'
import { STATUS_PATH } from './sessions/status-access.ts'
import type { Visit } from './sessions/visit.ts'
import { visitorOf } from './visitor.ts'
import { EVENTS_PATH, followWake } from './wake-events.ts'

/** The front's request handler: sends each request to the app that its Host names. */
export function frontHandler(parts: FrontParts): RequestHandler {
  return exchange => {
    try {
      return serve(parts, exchange)
    } catch (error) {
      return failed(parts, exchange, error)
    }
  }
}

async function failed(parts: FrontParts, exchange: Exchange, error: unknown): Promise<void> {
  if (exchange.answered || exchange.signal.aborted) throw error
  parts.errors.answer(exchange, error)
}

// Not an async function: suspending one costs as much as reading a head, and most requests are for an app that is awake.
function serve(parts: FrontParts, exchange: Exchange): Promise<void> {
  const token = challengeToken(exchange)
  return token === undefined ? serveHost(parts, exchange) : serveChallenge(parts, exchange, token)
}

/** Answers a challenge of the certificate authority. Those of an order that an app has made itself go to the app. */
async function serveChallenge(parts: FrontParts, exchange: Exchange, token: string): Promise<void> {
  const keyAuthorization = await parts.certificates.challenge(token)
  if (keyAuthorization !== undefined) return answerChallenge(exchange, keyAuthorization)
  try {
    await serveHost(parts, exchange)
  } catch (error) {
    return failed(parts, exchange, error)
  }
}

function serveHost(parts: FrontParts, exchange: Exchange): Promise<void> {
  const hostname = hostOf(exchange.host)
  if (hostname === undefined) throw noHost(exchange)
  const ofPort = portHost(hostname)
  return ofPort === undefined ? serveAt(parts, exchange, hostname) : servePort(parts, exchange, hostname, ofPort)
}

/** Serves a request for a port of a session. An app that is no session may have a hostname of this form too. */
async function servePort(parts: FrontParts, exchange: Exchange, hostname: Hostname, { session, port }: PortHost) {
  try {
    const app = await sessionAt(parts, exchange, session)
    await (app === undefined ? serveAt(parts, exchange, hostname) : serveApp(parts, exchange, app, port))
  } catch (error) {
    return failed(parts, exchange, error)
  }
}

async function sessionAt({ routes }: FrontParts, exchange: Exchange, hostname: Hostname): Promise<Route | undefined> {
  try {
    const app = await routes.resolve(hostname, exchange)
    return app.session === undefined ? undefined : app
  } catch (error) {
    if (isFailure(error, 'host-unknown')) return undefined
    throw error
  }
}

function serveAt(parts: FrontParts, exchange: Exchange, hostname: Hostname): Promise<void> {
  const app = parts.routes.resolve(hostname, exchange)
  if (!(app instanceof Promise)) return serveApp(parts, exchange, app)
  return app.then(found => serveApp(parts, exchange, found)).catch(error => failed(parts, exchange, error))
}

function serveApp(parts: FrontParts, exchange: Exchange, app: Route, port?: number): Promise<void> {
  const { guard, trusted, https } = parts
  const isProxy = trusted.has(exchange.clientAddress)
  const visitor = isProxy ? visitorOf(exchange, trusted) : undefined
  const client = visitor?.address
  const secure = visitor?.secure ?? exchange.secure
  const hsts = secure ? https.hstsOf(app.access) : undefined
  if (hsts !== undefined) exchange.ownHeaders[HSTS_HEADER] = hsts
  if (app.access !== undefined) guard.admit(app.name, app.access, client ?? exchange.clientAddress)
  if (!secure && https.redirects(app.access)) return https.redirect(exchange, isProxy)
  const from = { isProxy, client, secure, hsts, port }
  if (app.template !== undefined) throw isTemplate(app.name)
  if (app.session !== undefined) return visit(parts, exchange, app, app.session, from)
  return serveFrom(parts, exchange, app, from)
}

type From = Pick<AppRequestGiven, 'isProxy' | 'client' | 'secure' | 'hsts' | 'port'>

/** Serves a request for a session, if its visitor may visit it. */
async function visit(parts: FrontParts, exchange: Exchange, app: Route, session: Session, from: From): Promise<void> {
  try {
    using visit = await parts.visits.enter(app, session, exchange, from)
    if (visit === undefined) return
    if (from.port !== undefined && session.ports !== 'all') throw portNotOpen(session, from.port)
    if (exchange.isFor(STATUS_PATH)) await answerStatus(parts, app, session, exchange)
    else await serveFrom(parts, exchange, app, from, visit)
  } catch (error) {
    return failed(parts, exchange, error)
  }
}

function serveFrom(parts: FrontParts, exchange: Exchange, app: Route, from: From, visit?: Visit): Promise<void> {
  if (app.paused !== undefined) return refusePaused(parts, exchange, app, app.paused)
  if (exchange.isFor(EVENTS_PATH)) return follow(parts, app, exchange)
  const ignoredBy = parts.gate.ignoredBy(app, exchange, from.client ?? exchange.clientAddress)
  // Visitors of a session may get different answers.
  const kept = visit === undefined ? parts.answers.of(app, exchange) : undefined
  const request = new AppRequest({ parts, exchange, app, ...from, ignoredBy, kept, visit })
  if (!request.places.enter()) return queued(request)
  return deliver(request)
}

async function refusePaused({ errors }: FrontParts, exchange: Exchange, app: Route, pause: Pause): Promise<void> {
  errors.answer(exchange, isPaused(app.name, pause), app)
}

/** Serves a request for which there was no place at the app: it waits, or is refused where too many do. */
async function queued(request: AppRequest): Promise<void> {
  try {
    await request.places.wait(request.cancellation.signal)
    await deliver(request)
  } catch (error) {
    return request.fail(error)
  }
}

/** Follows the wake of the app for a waiting page. Such a stream stays open as long as the wake, so it takes a place of the app. */
async function follow(parts: FrontParts, app: Route, exchange: Exchange): Promise<void> {
  const { waitingPages } = parts.bounds.of(app)
  if (!waitingPages.enter()) throw waitingPages.tooMany()
  try {
    const node = await nodeOf(parts, app, exchange.signal)
    await byHandler(
      exchange,
      (_request, response, gone) =>
        followWake(parts.connector, app, node, response, AbortSignal.any([gone, parts.ending])),
      parts.log,
    )
  } finally {
    waitingPages.leave()
  }
}

const portNotOpen = ({ template }: Session, port: number): ShadowError =>
  new ShadowError('port-not-open', `the template ${template} opens the main port of a session alone, not ${port}`, {
    hint: `shadow template set ${template} --ports all`,
  })

const noHost = ({ host = '' }: Exchange): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${JSON.stringify(host)}`)
