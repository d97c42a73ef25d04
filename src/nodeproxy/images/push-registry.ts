import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { MasterStream } from '../../api/master-stream.ts'
import { permitHeaders } from '../../api/paths.ts'
import { fromProblem, ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import { type Admitted, type LoopbackRegistry, picked, refuse } from './loopback-registry.ts'

/** A name by which Docker can push an image until this is disposed: `127.0.0.1:PORT/blog`. */
export type OpenPush = Admitted & { readonly name: string }

type Options = { readonly stream: MasterStream; readonly registry: Pick<LoopbackRegistry, 'admit'> }

const SENT = ['content-type', 'content-length', 'content-range', 'accept']
const PASSED = ['content-type', 'content-length', 'location', 'range', 'docker-content-digest', 'docker-upload-uuid']

/** Lets the Docker of this machine push what it has built for an app to the masters' store, by the permit for it. */
export class PushRegistry {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  async open(app: AppName, permit: string): Promise<OpenPush> {
    const { registry, stream } = this.#options
    const admitted = await registry.admit((request, response, signal) =>
      forward({ app, permit, stream }, request, response, signal),
    )
    return Object.assign(admitted, { name: `${admitted.address}/${app}` })
  }
}

type Push = { readonly app: AppName; readonly permit: string; readonly stream: MasterStream }

async function forward(
  { app, permit, stream }: Push,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { method = '', url: target = '' } = request
  if (!target.startsWith(`/v2/${app}/`)) return refuse(response, 404, 'NAME_UNKNOWN', `only ${app} is pushed here`)
  // A layer of another repository is not mounted, since a node may not read it: without its query the request begins an upload.
  const plain = method === 'POST' ? target.replace(/\?.*$/, '') : target
  const hasContent = request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0
  const answer = await stream(
    {
      method,
      target: plain,
      headers: { ...picked(request.headers, SENT), ...permitHeaders(permit) },
      content: hasContent ? request.iterator({ destroyOnReturn: false }) : undefined,
    },
    signal,
  )
  const { statusCode = 502 } = answer
  if (statusCode >= 400 && statusCode < 500 && method !== 'HEAD') throw refusalOf(await text(answer))
  response.writeHead(statusCode, picked(answer.headers, PASSED))
  await pipeline(answer, response)
}

/** What the master says, which is an error document of registries. */
function refusalOf(said: string): ShadowError {
  try {
    const { errors } = JSON.parse(said) as { errors: readonly { message: string; detail?: { error?: string } }[] }
    const [{ message, detail } = { message: said }] = errors
    return fromProblem({ code: detail?.error, detail: message }) ?? new ShadowError('internal', message)
  } catch {
    return new ShadowError('internal', `the master refuses the push: ${said.slice(0, 500)}`)
  }
}
