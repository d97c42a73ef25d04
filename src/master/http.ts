import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import express, { type NextFunction, type Request, type Response } from 'express'
import type { Role } from '../api/call-shape.ts'
import { masterCalls } from '../api/master-calls.ts'
import { parseCall } from '../api/parse-call.ts'
import { masterPaths, PERMIT_HEADER } from '../api/paths.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { fail, readJson, reply, requestListener } from '../lib/http/api/request-handler.ts'
import type { Log } from '../lib/log.ts'
import { BodyDeadlines } from './body-deadlines.ts'
import type { Call, Handlers } from './call.ts'
import type { Callers } from './callers.ts'
import { type E2b, isForE2b } from './e2b/handler.ts'
import { imagesHandler, isForImages } from './images/handler.ts'
import type { ImageStore } from './images/store.ts'
import type { Caller } from './known-callers.ts'
import type { OwnerGuard } from './owners/guard.ts'
import type { Permits } from './permits.ts'

type ApiCall = (typeof masterCalls)[keyof typeof masterCalls]
type Handler = (input: unknown, call: Call) => Promise<{ value: unknown; etag?: string } | undefined>

type Parts = {
  handlers: Handlers
  images: ImageStore
  e2b: E2b
  permits: Pick<Permits, 'mustPush'>
  callers: Callers
  owners: OwnerGuard
  log: Log
  clock: Clock
  /** Answers what is for a page of the dashboard; false for anything else. */
  pages: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>
  /** Ends the streams when the master stops. */
  ending: AbortSignal
}

/**
 * The master's request handler. Each call of the table checks its token and parses its input; failures are answered as problem documents.
 */
export function masterHandler({
  handlers,
  images,
  e2b,
  permits,
  callers,
  owners,
  log,
  clock,
  pages,
  ending,
}: Parts): RequestListener {
  const app = express().disable('x-powered-by').disable('etag')
  const deadlines = new BodyDeadlines(clock)
  app.use((request, _response, next) => {
    deadlines.start(request)
    next()
  })
  const through =
    (handle: (request: Request, response: Response, signal: AbortSignal) => Promise<void>) =>
    (request: Request, response: Response): void =>
      requestListener((_request, _response, signal) => handle(request, response, signal), { log })(request, response)

  const answerImage = through(imagesHandler({ store: images, permits, callers, deadlines, log }))
  app.use((request, response, next) => (isForImages(request) ? answerImage(request, response) : next()))
  const answerE2b = through(e2b.handler(deadlines))
  app.use((request, response, next) => (isForE2b(request) ? answerE2b(request, response) : next()))

  for (const [name, call] of Object.entries(masterCalls)) {
    const [method, path] = splitPath(masterPaths[name as keyof typeof masterPaths])
    const handler = handlers[name as keyof Handlers] as Handler
    app[method](
      path,
      through(async (request, response, gone) => {
        // restic knows no other way to show a token.
        const basic = path.startsWith('/v1/repositories/')
        const caller = call.may === 'anyone' ? undefined : await callerOf(request, response, callers, basic)
        if (caller?.role !== 'owner') mayCall(call, caller)
        const handle = owners.handlerFor(name as keyof Handlers, handler, { caller, params: request.params })
        if ('sends' in call || ('content' in call && call.answer === 'nothing')) deadlines.letOff(request)
        if ('isSession' in call) deadlines.end(request)
        else if ('content' in call && call.answer === 'nothing') deadlines.letOff(request)
        const input = parseCall(schemasOf(call), {
          params: request.params,
          query: request.query,
          body: 'body' in call ? await bodyOf(request) : undefined,
        })
        using good = call.answer === 'stream' && caller ? callers.whileGood(caller) : undefined
        const signal = good === undefined ? gone : AbortSignal.any([gone, ending, good.signal])
        const ifMatch = etagsOf(request.headers['if-match'])
        const ifNoneMatch = etagsOf(request.headers['if-none-match'])
        const permit = request.headers[PERMIT_HEADER]?.toString()
        const answered = await handle(input as never, {
          caller,
          ifMatch,
          ifNoneMatch,
          permit,
          request,
          response,
          signal,
        })
        if (call.answer === 'stream') response.end()
        else answer(request, response, call, answered)
      }),
    )
  }

  app.get(
    '/openapi.json',
    through(async (request, response) => {
      await callerOf(request, response, callers)
      const { openapi } = await import('../api/openapi.ts')
      reply(response, 200, openapi())
    }),
  )

  app.use(
    through(async (request, response) => {
      if (await pages(request, response)) return
      await callerOf(request, response, callers)
      throw new ShadowError('not-found', `no such call: ${request.method} ${request.path}`, {
        hint: 'see /openapi.json',
      })
    }),
  )
  // Express recognises an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    fail(request, response, asBadRequest(error), log),
  )
  return app
}

const schemasOf = (call: ApiCall) => ({
  params: 'params' in call ? call.params : undefined,
  query: 'query' in call ? call.query : undefined,
  body: 'body' in call ? call.body : undefined,
})

function splitPath(path: string): ['get' | 'head' | 'post' | 'put' | 'patch' | 'delete', string] {
  const [method = '', rest = ''] = path.split(' ')
  return [method.toLowerCase() as 'get', rest]
}

async function callerOf(
  request: IncomingMessage,
  response: ServerResponse,
  callers: Callers,
  basic = false,
): Promise<Caller> {
  try {
    return await callers.of(request, { basic, cookie: { answer: response } })
  } catch (error) {
    if (error instanceof ShadowError && error.code === 'unauthorised') response.setHeader('www-authenticate', 'Bearer')
    throw error
  }
}

function mayCall(call: ApiCall, caller: Caller | undefined): void {
  if (caller === undefined || (call.may as readonly Role[]).includes(caller.role)) return
  throw new ShadowError('forbidden', `a token of the role ${caller.role} may not do this: ${call.says}`, {
    hint: `it takes a token of the role ${(call.may as readonly Role[]).join(' or ')}`,
  })
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const type = request.headers['content-type']
  if (type !== undefined && !/^application\/(?:[\w.-]+\+)?json\b/i.test(type))
    throw new ShadowError('bad-input', `the body is ${type.slice(0, 100)}; send application/json`)
  return readJson(request)
}

/** The versions in an If-Match or If-None-Match header; `*` names no version, only that one exists. */
function etagsOf(header: string | undefined): readonly string[] | undefined {
  if (header === undefined || header.trim() === '*') return undefined
  return header.split(',').map(etag => etag.trim().replace(/^W\//, '').replace(/^"|"$/g, ''))
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  call: ApiCall,
  answered: { value: unknown; etag?: string } | undefined,
): void {
  const headers = { 'cache-control': 'no-store', ...(answered?.etag !== undefined && { etag: `"${answered.etag}"` }) }
  const known = request.method === 'GET' ? etagsOf(request.headers['if-none-match']) : undefined
  if (answered === undefined) reply(response, 204, undefined, headers)
  else if (answered.etag !== undefined && known?.includes(answered.etag)) reply(response, 304, undefined, headers)
  else reply(response, 'status' in call ? call.status : 200, answered.value, headers)
}

function asBadRequest(error: unknown): unknown {
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
  return status >= 400 && status < 500
    ? new ShadowError('bad-input', `the request cannot be read: ${(error as Error).message}`, { cause: error })
    : error
}
