import { deliver } from '../api/delivery.ts'
import { ShadowError } from '../lib/errors.ts'
import { byHandler } from '../lib/http/api/request-handler.ts'
import type { Exchange, RequestHandler } from '../lib/http/exchange.ts'
import { hostOf } from '../model/hostname.ts'
import { isPaused, type Pause } from '../model/pause.ts'
import type { Route } from '../model/route.ts'
import { AppRequest } from './app-request.ts'
import type { FrontParts } from './front-parts.ts'
import { HSTS_HEADER } from './https.ts'
import { nodeOf } from './node-choice.ts'
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
  const hostname = hostOf(exchange.host)
  if (hostname === undefined) throw noHost(exchange)
  const app = parts.routes.resolve(hostname, exchange)
  if (!(app instanceof Promise)) return serveApp(parts, exchange, app)
  return app.then(found => serveApp(parts, exchange, found)).catch(error => failed(parts, exchange, error))
}

function serveApp(parts: FrontParts, exchange: Exchange, app: Route): Promise<void> {
  const { guard, trusted, https } = parts
  const isProxy = trusted.has(exchange.clientAddress)
  const visitor = isProxy ? visitorOf(exchange, trusted) : undefined
  const client = visitor?.address
  const secure = visitor?.secure ?? exchange.secure
  const hsts = secure ? https.hstsOf(app.access) : undefined
  if (hsts !== undefined) exchange.ownHeaders[HSTS_HEADER] = hsts
  if (app.access !== undefined) guard.admit(app.name, app.access, client ?? exchange.clientAddress)
  if (!secure && https.redirects(app.access)) return https.redirect(exchange, isProxy)
  if (app.paused !== undefined) return refusePaused(parts, exchange, app, app.paused)
  if (exchange.isFor(EVENTS_PATH)) return follow(parts, app, exchange)
  const ignoredBy = parts.gate.ignoredBy(app, exchange, client ?? exchange.clientAddress)
  const kept = parts.answers.of(app, exchange)
  const request = new AppRequest({ parts, exchange, app, isProxy, client, secure, hsts, ignoredBy, kept })
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

const noHost = ({ host = '' }: Exchange): ShadowError =>
  new ShadowError('host-unknown', `no app has the hostname ${JSON.stringify(host)}`)
