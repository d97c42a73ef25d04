import type { BuildQuery } from '../../api/build-schemas.ts'
import { deadline, orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import type { Log } from '../../lib/log.ts'
import type { Mutex } from '../../lib/mutex.ts'
import { type BuildEvent, builtImage, LABEL_BUILT_FOR } from '../../model/build.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { sayBytes, sayMs, toBytes, toMs } from '../../model/quantities.ts'
import type { ImageBuilder } from './image-builder.ts'
import { type Pushes, pushImage } from './push-image.ts'

export type BuildLimits = {
  readonly memoryBytes: number
  readonly cpus: number
  readonly withinMs: number
  readonly contextBytes: number
  readonly network: string
  /** When BuildKit builds, which takes no limit of memory and processors. */
  readonly buildkit: 'when-needed' | 'never' | 'always'
}

type Options = {
  readonly node: NodeName
  readonly builder: ImageBuilder
  readonly limits: BuildLimits
  /** By which an image gets into the masters' store. */
  readonly pushes: Pushes
  /** Builds take it one after the other. */
  readonly turn: Mutex
  readonly clock: Clock
  readonly log: Log
}

/** Builds that wait hold a connection each. */
const MOST_WAITING = 20
const MOST_LOG_BYTES = 20 * 2 ** 20
/** Every connection between the caller and here carries something at least so often. */
const SAYS_SOMETHING_EVERY_MS = 15_000

/** For which app; `permit`: the masters shall have the image, and this permits to push it. */
type For = { readonly app: AppName; readonly permit: string | undefined }

/** Builds images for apps, one at a time, so that builds leave processors and memory for the apps. */
export class Builds {
  readonly #options: Options
  #waiting = 0

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Builds from the body and writes the events of the build as NDJSON. A build that fails is an event too, since the answer has begun.
   * With a permit, the image is pushed to the masters.
   */
  build(
    { app, permit }: For,
    query: BuildQuery,
    request: StreamedRequest,
    response: StreamedResponse,
    signal: AbortSignal,
  ) {
    const { builder, limits } = this.#options
    const within = Math.min(query.within === undefined ? limits.withinMs : toMs(query.within), limits.withinMs)
    const order = {
      dockerfile: query.dockerfile,
      target: query.target,
      args: query.args ?? {},
      labels: { [LABEL_BUILT_FOR]: app },
      memoryBytes: Math.min(
        query.memory === undefined ? limits.memoryBytes : toBytes(query.memory),
        limits.memoryBytes,
      ),
      cpus: Math.min(query.cpus ?? limits.cpus, limits.cpus),
      network: limits.network,
      isBuildkit: limits.buildkit === 'always' || (limits.buildkit === 'when-needed' && query.buildkit === 'true'),
    }
    if (query.buildkit === 'true' && limits.buildkit === 'never') throw noBuildkit(this.#options.node)
    return this.#make({ app, permit }, within, response, signal, (onLine, until) =>
      builder.build(atMost(limits.contextBytes, request), order, onLine, until),
    )
  }

  /** Takes an image that was built elsewhere; otherwise as `build`. */
  load(of: For, request: StreamedRequest, response: StreamedResponse, signal: AbortSignal) {
    const { builder, limits } = this.#options
    return this.#make(of, limits.withinMs, response, signal, (onLine, until) =>
      builder.load(request as AsyncIterable<Uint8Array>, onLine, until),
    )
  }

  async #make(
    { app, permit }: For,
    withinMs: number,
    response: StreamedResponse,
    given: AbortSignal,
    make: (onLine: (line: string) => void, signal: AbortSignal) => Promise<string>,
  ): Promise<void> {
    const { node, builder, pushes, turn, clock, log } = this.#options
    if (this.#waiting >= MOST_WAITING)
      throw new ShadowError('queue-full', `${this.#waiting} builds wait on the node ${node}`, { retryAfterMs: 30_000 })
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
    response.flushHeaders()
    const send = sender(response)
    const beat = setInterval(() => response.write('\n'), SAYS_SOMETHING_EVERY_MS)
    if (this.#waiting > 0)
      send({ line: `waiting for ${this.#waiting} other ${this.#waiting === 1 ? 'build' : 'builds'} on ${node}` })
    this.#waiting += 1
    const from = clock.now()
    try {
      const image = await orAborted(
        turn.take(async () => {
          given.throwIfAborted()
          using limit = deadline(clock, withinMs, () => tooLong(app, withinMs))
          const until = AbortSignal.any([given, limit.signal])
          const onLine = (line: string): void => send({ line })
          const id = await make(onLine, until)
          const name = builtImage(app, id)
          await builder.tag(id, name)
          if (permit !== undefined) await pushImage({ builder, pushes, clock, onLine }, { app, name, permit }, until)
          return { id, name, node }
        }),
        given,
      )
      log.info('image built', { app, image: image.name, ms: Math.round(clock.now() - from) })
      send({ image })
    } catch (thrown) {
      given.throwIfAborted() // nobody listens any more
      const error = asShadowError(thrown)
      log.warn('image not built', { app, cause: thrown })
      send({ problem: error.toProblem() })
    } finally {
      this.#waiting -= 1
      clearInterval(beat)
      response.end()
    }
  }
}

function sender(response: StreamedResponse): (event: BuildEvent) => void {
  let left = MOST_LOG_BYTES
  return event => {
    if ('line' in event) {
      if (left <= 0) return
      left -= event.line.length
      if (left <= 0) response.write(`${JSON.stringify({ line: 'the log is too long; the rest is left out' })}\n`)
      else response.write(`${JSON.stringify(event)}\n`)
    } else response.write(`${JSON.stringify(event)}\n`)
  }
}

const noBuildkit = (node: NodeName): ShadowError =>
  new ShadowError('bad-input', `the Dockerfile needs BuildKit, which the node ${node} does not let builds use`, {
    hint: 'build here: shadow deploy --local; or SHADOW_BUILDKIT=when-needed on the node',
  })

const tooLong = (app: AppName, withinMs: number): ShadowError =>
  new ShadowError('build-failed', `the build for ${app} took longer than ${sayMs(withinMs)}`, {
    hint: 'give it more: within of [build], SHADOW_BUILD_WITHIN of the node',
  })

async function* atMost(most: number, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of content) {
    bytes += chunk.length
    if (bytes > most)
      throw new ShadowError('too-large', `the context is larger than ${sayBytes(most)}`, {
        hint: 'leave out what the build does not need by .dockerignore, or raise SHADOW_BUILD_CONTEXT of the node',
      })
    yield chunk
  }
}
