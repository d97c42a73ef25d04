import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { MasterClient } from '../../api/client.ts'
import { permitHeaders } from '../../api/paths.ts'
import { isOciDigest, type OciDigest, type Repository } from '../../model/image-store.ts'
import { type Admitted, type LoopbackRegistry, picked, refuse } from './loopback-registry.ts'

/** An image that this node may read, as its definition says. */
export type ReadableImage = {
  readonly repository: Repository
  readonly digest: OciDigest
  readonly permit: string | undefined
}

/** An image that Docker can pull until this is disposed; `name` is `127.0.0.1:PORT/blog@sha256:…`. */
export type OpenImage = Admitted & { readonly name: string }

type Options = { readonly master: MasterClient; readonly registry: Pick<LoopbackRegistry, 'admit'> }

/** Lets the Docker of this machine pull images of the masters' store, each by the permit for it. */
export class PullRegistry {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  async open(image: ReadableImage): Promise<OpenImage> {
    const admitted = await this.#options.registry.admit((...exchange) => this.#answer(image, ...exchange))
    const name = `${admitted.address}/${image.repository}@${image.digest}`
    return Object.assign(admitted, { name })
  }

  async #answer(image: ReadableImage, request: IncomingMessage, response: ServerResponse, signal: AbortSignal) {
    const { method, url = '' } = request
    if (method !== 'GET' && method !== 'HEAD')
      return refuse(response, 405, 'UNSUPPORTED', 'this is a pull: images are only read')
    const [, repository, part = ''] = /^\/v2\/(.+)\/(?:manifests|blobs)\/([^/?]+)$/.exec(url) ?? []
    if (repository !== image.repository || !isOciDigest(part))
      return refuse(response, 404, 'NAME_UNKNOWN', `only ${image.repository}@${image.digest} is read here`)
    await this.#forward(request, response, image, part, signal)
  }

  async #forward(
    { method, headers: { range } }: IncomingMessage,
    response: ServerResponse,
    { repository, digest, permit }: ReadableImage,
    part: OciDigest,
    signal: AbortSignal,
  ): Promise<void> {
    const answer = await this.#options.master.raw('readImage', {
      params: { part },
      query: { repository, image: digest },
      headers: { ...permitHeaders(permit), ...(range !== undefined && method === 'GET' && { range }) },
      signal,
    })
    response.writeHead(answer.status, picked(answer.headers, PASSED))
    if (method === 'HEAD') {
      answer.body.destroy()
      response.end()
    } else await pipeline(answer.body, response)
  }
}

const PASSED = ['content-type', 'content-length', 'content-range', 'docker-content-digest']
