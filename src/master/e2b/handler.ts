import type { IncomingMessage, ServerResponse } from 'node:http'
import { ClientSession } from '../../api/exec-client.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { reply } from '../../lib/http/api/request-handler.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { BodyDeadlines } from '../body-deadlines.ts'
import type { Callers } from '../callers.ts'
import type { Caller } from '../known-callers.ts'
import type { Relay } from '../relay.ts'
import type { OpenSessions } from '../sessions/open-sessions.ts'
import { type SignedUrl, sandboxAccess, signedUrl } from './access.ts'
import { rpcOf } from './connect.ts'
import type { Open } from './container.ts'
import { controlRoutes } from './control.ts'
import { sandboxCopies } from './copies.ts'
import { answerFault, fault, notOffered } from './faults.ts'
import { sendFile, takeFiles } from './files.ts'
import { decoded } from './paths.ts'
import { serveProcessCall } from './process-calls.ts'
import { Processes } from './processes.ts'
import type { SandboxApp } from './sandbox-view.ts'
import { sandboxesOf } from './sandboxes.ts'
import { serveFilesystemCall } from './watch-calls.ts'
import { Watchers } from './watchers.ts'

type Parts = Omit<Parameters<typeof sandboxesOf>[0], 'sessions' | 'pauses' | 'index' | 'access'> &
  Omit<Parameters<typeof sandboxCopies>[0], 'sandboxes'> & {
    readonly keyed: Pick<OpenSessions, 'sessions' | 'pauses' | 'index'>
    readonly seals: Pick<Seals, 'digest'>
    readonly relay: Pick<Relay, 'openSession' | 'stats'>
    readonly callers: Pick<Callers, 'withToken'>
    readonly clock: Clock
    readonly log: Log
  }
export type E2b = ReturnType<typeof openE2b>

const PREFIX = '/e2b'
/** Clients write the URL of a file that they sign from the root of the host, without the prefix. */
const SIGNED = /^\/files\?(?:.*&)?signature=/

/** Whether the request is one of E2B's API. */
export const isForE2b = ({ url = '' }: IncomingMessage): boolean => /^\/e2b(?:[/?]|$)/.test(url) || SIGNED.test(url)

/**
 * E2B's API at `/e2b`, as the packages `e2b` speak it: the control of sandboxes with a token of this API as `X-API-KEY`, and what happens in a sandbox
 * with that sandbox's own token.
 */
export function openE2b(parts: Parts) {
  const { keyed, seals, relay, callers, clock, log } = parts
  const access = sandboxAccess(seals)
  const sandboxes = sandboxesOf({ ...parts, ...keyed, access })
  const copies = sandboxCopies({ ...parts, sandboxes })
  const routes = controlRoutes({ ...parts, sandboxes, copies })
  const processes = new Processes(clock)
  const watchers = new Watchers()

  const openerOf =
    (app: SandboxApp): Open =>
    (start, signal) =>
      ClientSession.open({
        start,
        open: (content, ending) => relay.openSession(app, { wake: true, by: 'E2B' }, content, ending),
        clock,
        signal,
      })

  /** The sandbox that a call names by its headers, if it shows the token of it. Clients take 502 for a sandbox that does not run. */
  const opened = (request: IncomingMessage): SandboxApp => {
    const id = request.headers['e2b-sandbox-id']?.toString() ?? ''
    const app = sandboxes.known(id)
    if (app === undefined || app.paused !== undefined) throw notRunning(id)
    access.mustOpen(app.session.sandbox, request.headers['x-access-token']?.toString())
    return app
  }

  const signer = (url: SignedUrl): SandboxApp => {
    const app = sandboxes.signer(one => access.hasSigned(one.session.sandbox, url))
    if (app === undefined) throw fault('unauthenticated', 'the signature of the URL is of no sandbox that lives here')
    if (app.paused !== undefined) throw notRunning(app.name)
    return app
  }

  async function inSandbox(
    call: HttpCall,
    path: string,
    query: URLSearchParams,
    deadlines: BodyDeadlines,
  ): Promise<void> {
    const { request, response, signal } = call
    const { method = '' } = request
    const signed = path === '/files' ? signedUrl(query, method, clock.wall()) : undefined
    const app = signed === undefined ? opened(request) : signer(signed)
    if (path === '/health') return reply(response, 204, undefined)
    const open = openerOf(app)
    const [, service, name = ''] = /^\/([\w.]+)\/(\w+)$/.exec(path) ?? []
    if (path === '/files' && method === 'GET') return sendFile({ request, response, query, open, signal })
    if (path === '/files' && method === 'POST') {
      deadlines.letOff(request)
      return takeFiles({ request, response, query, open, signal })
    }
    if (method !== 'POST') throw notOffered(`${method} ${path}`)
    const target = { sandbox: app.name, open, user: userOf(request) }
    const rpc = rpcOf(request, response, signal)
    if (name === 'StreamInput') deadlines.end(request)
    if (service === 'process.Process') return serveProcessCall(name, rpc, target, { processes, clock, log })
    return serveFilesystemCall(name, rpc, target, { watchers, clock, log })
  }

  async function control(call: HttpCall, path: string, query: URLSearchParams): Promise<void> {
    const { method = '' } = call.request
    const found = /^((?:\/v\d+)?\/(?:sandboxes|templates))\/([^/]+)(\/.*)?$/.exec(path)
    const [, base = path, id = '', rest = ''] = found ?? []
    const route = routes[`${method} ${found === null ? path : `${base}/:id${rest}`}`]
    const caller = await callerOf(call.request, callers)
    if (route === undefined || (id === 'metrics' && rest === '')) throw notOffered(`${method} ${path.slice(0, 200)}`)
    await route({ ...call, query, caller }, decoded(id))
  }

  return {
    /** Answers a request for which `isForE2b` is true. */
    handler:
      (deadlines: BodyDeadlines) =>
      async (request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> => {
        try {
          const url = new URL(request.url ?? '', 'http://e2b')
          const path = url.pathname.startsWith(PREFIX) ? url.pathname.slice(PREFIX.length) : url.pathname
          const call = { request, response, signal }
          if (IN_SANDBOX.test(path)) await inSandbox(call, path, url.searchParams, deadlines)
          else await control(call, path, url.searchParams)
        } catch (error) {
          if (!signal.aborted) answerFault(request, response, error, log)
        }
      },
  }
}

type HttpCall = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly signal: AbortSignal }

const IN_SANDBOX = /^\/(?:health|files|envs|metrics|init|process\.Process\/.*|filesystem\.Filesystem\/.*)$/

async function callerOf(request: IncomingMessage, callers: Pick<Callers, 'withToken'>): Promise<Caller> {
  const key = request.headers['x-api-key']?.toString()
  if (key === undefined || key === '')
    throw fault(
      'unauthenticated',
      'no token was shown: X-API-KEY, which E2B_API_KEY sets',
      'shadow token create NAME --apps TEMPLATE',
    )
  const caller = await callers.withToken(key)
  if (caller.role === 'admin' || caller.role === 'owner') return caller
  throw fault('permission_denied', `a token of the role ${caller.role} makes no sandboxes`)
}

/** Clients name the user of a call by Basic authentication without a password. */
function userOf({ headers: { authorization = '' } }: IncomingMessage): string | undefined {
  const [, encoded = ''] = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? []
  const [user] = Buffer.from(encoded, 'base64').toString().split(':', 1)
  return user === '' ? undefined : user
}

const notRunning = (id: string): ShadowError =>
  new ShadowError('app-unreachable', `the sandbox ${id.slice(0, 100)} was not found: it has ended, or is paused`)
