import type { IncomingMessage, ServerResponse } from 'node:http'
import { HOP_EXPECT, HOP_PATIENCE, NODE_HEADER, STATE_HEADER, WAKE_HEADER } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import { type Forwarder, UpstreamError } from '../lib/http/forward.ts'
import { serverTiming } from '../lib/http/server-timing.ts'
import type { Ask } from '../model/instance.ts'
import { type AppName, appName, type NodeName } from '../model/names.ts'
import type { Apps } from './apps.ts'
import type { Instances } from './instances.ts'

type Parts = {
  readonly node: NodeName
  readonly apps: Apps
  readonly instances: Instances
  readonly forwarder: Forwarder
}

export type Traffic = (
  app: string,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
) => Promise<void>

const OURS = 'x-shadow-'
const TRIES = 2
// What node:http reads of a body before anybody asks for it.
const READ_AHEAD_BYTES = 65_536
const LONGEST_WHAT = 200

/** Serves requests that a front forwards for an app of this node: hold, forward, to the last byte. */
export function traffic({ node, apps, instances, forwarder }: Parts): Traffic {
  const serve = async (
    app: AppName,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> => {
    const ask = askOf(request)
    for (let left = TRIES; ; left--) {
      using held = await instances.hold(await apps.resolve(app), ask, signal)
      const timing = held.waited && { 'server-timing': serverTiming(held.waited) }
      const hop = {
        address: held.address,
        strip: OURS,
        forwarded: 'keep',
        expect: request.headers[HOP_EXPECT] === 'hop' ? 'answer' : 'pass',
        requestHeaders: held.headers,
        responseHeaders: () => ({ [NODE_HEADER]: node, ...timing }),
      } as const
      try {
        return await forwarder.forward(request, response, hop, signal)
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        if (error.sent || left <= 1) throw unreachable(app, error)
        await instances.reconcile() // it may have ended just now: then it is woken again
      }
    }
  }

  return async (name, request, response, signal) => {
    response.setHeader(NODE_HEADER, node)
    const app = appName(name)
    try {
      await serve(app, request, response, signal)
    } catch (error) {
      if (!response.headersSent) response.setHeader(STATE_HEADER, instances.get(app)?.phase ?? 'asleep')
      throw error
    }
  }
}

function askOf(request: IncomingMessage): Ask {
  const { headers, method, url = '/', socket } = request
  const from = headers['x-forwarded-for'] ?? socket.remoteAddress
  const patience = Number(headers[HOP_PATIENCE] ?? Number.NaN)
  return {
    kind: headers.upgrade?.toLowerCase() === 'websocket' ? 'websocket' : 'request',
    what: `${method} ${url.split('?', 1)[0]} from ${from}`.slice(0, LONGEST_WHAT),
    bytes: bytesOf(request),
    mayWake: headers[WAKE_HEADER] !== 'never',
    patienceMs: patience >= 0 ? patience : undefined,
  }
}

function bytesOf({ rawHeaders, headers }: IncomingMessage): number {
  const head = rawHeaders.reduce((sum, text) => sum + text.length + 2, 0)
  const hasBody = headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined
  return head + (hasBody ? Math.min(Number(headers['content-length'] ?? READ_AHEAD_BYTES), READ_AHEAD_BYTES) : 0)
}

const unreachable = (app: AppName, error: UpstreamError): ShadowError =>
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
