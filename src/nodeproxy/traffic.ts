import type { IncomingMessage, ServerResponse } from 'node:http'
import { HOP_EXPECT, HOP_PATIENCE, NODE_HEADER, STATE_HEADER } from '../api/paths.ts'
import { appUnreachable, askOf, OURS, TRIES } from '../api/traffic.ts'
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

/** Serves requests that a front forwards for an app of this node: hold, forward, to the last byte. */
export function traffic({ node, apps, instances, forwarder }: Parts): Traffic {
  const serve = async (
    app: AppName,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> => {
    const ask = asked(request)
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
        if (error.sent || left <= 1) throw appUnreachable(app, error)
        await instances.reconcile() // it may have ended just now: then it is woken again
      }
    }
  }

  return async (name, request, response, signal) => {
    const app = appName(name)
    try {
      await serve(app, request, response, signal)
    } catch (error) {
      // Only now: headers set before would cost the app's own their order and case.
      if (!response.headersSent)
        response.setHeader(NODE_HEADER, node).setHeader(STATE_HEADER, instances.get(app)?.phase ?? 'asleep')
      throw error
    }
  }
}

function asked(request: IncomingMessage): Ask {
  const { headers, socket } = request
  const patience = Number(headers[HOP_PATIENCE] ?? Number.NaN)
  const from = headers['x-forwarded-for'] ?? socket.remoteAddress
  return askOf(request, String(from), patience >= 0 ? patience : undefined)
}
