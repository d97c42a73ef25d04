import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { NodeClient } from '../../api/client.ts'
import { SESSION_TYPE } from '../../api/exec-channel.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import type { App } from '../../model/app.ts'
import type { InstanceView } from '../../model/instance.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import type { ControlledNode } from '../nodes.ts'

/** `by`: who opens it. `instance`: one of several that is awake; left out: the plain one, or any that is awake. */
export type SessionQuery = { readonly wake: boolean; readonly by: string; readonly instance?: InstanceId | undefined }
export type SessionCall = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
}

/** What the master knows of nodes: see `nodeRelay`. */
type Parts = {
  readonly awakeOf: (
    app: AppName,
  ) => Promise<readonly { readonly node: ControlledNode; readonly one: Pick<InstanceView, 'instance'> }[]>
  readonly nodeOf: (app: App) => Promise<ControlledNode>
  readonly reached: (node: ControlledNode) => Promise<NodeClient>
  /** The permit of the app. */
  readonly headers: OutgoingHttpHeaders
  readonly wake: () => Promise<unknown>
}

/** Joins the two streams of a session of the API with its node. */
export async function joinSession(parts: Parts, app: App, query: SessionQuery, call: SessionCall): Promise<void> {
  const { request, response, signal } = call
  const answer = await openSession(parts, app, query, readThrough(request), signal)
  response.writeHead(answer.status, { 'content-type': SESSION_TYPE, 'cache-control': 'no-store' })
  response.flushHeaders()
  await pipeline(answer.body, response, { signal })
}

/** Opens a session on its node; the body of the answer has the node's frames. An app that sleeps is woken first, on a node that has room. */
export async function openSession(
  { awakeOf, nodeOf, reached, headers, wake: wakeApp }: Parts,
  app: App,
  { wake, by, instance }: SessionQuery,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Answer> {
  // An app that may have several has none of them asleep: they are made as they are needed.
  const several = app.scale === undefined && instance === undefined ? [] : await awakeOf(app.name)
  const chosen = several.find(({ one }) => instance === undefined || one.instance === instance)
  if (chosen === undefined && instance !== undefined)
    throw new ShadowError('not-found', `${app.name} has no instance ${instance} that is awake`, { hint: 'shadow ps' })
  if (chosen === undefined && wake) await wakeApp()
  const client = await reached(chosen?.node ?? (await nodeOf(app)))
  const params = { instance: chosen?.one.instance ?? instanceId(app.name) }
  const query = { by, wake: wake ? ('true' as const) : ('false' as const) }
  return client.raw('openSession', { params, query, headers, content, signal })
}

/** The body of a request whose connection stays, whatever becomes of its reader: an answer may still be on its way. */
async function* readThrough(request: IncomingMessage): AsyncGenerator<Buffer> {
  for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk
}
