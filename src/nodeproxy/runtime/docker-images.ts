import { orAborted } from '../../lib/abort.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { credentialsFor } from './credentials.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf } from './failures.ts'
import { byDigest, imageName, imagePath, pullQuery } from './image-name.ts'
import type { ImageFacts, Pinned } from './runtime.ts'

/** The images of this machine's Docker. */
export class DockerImages {
  readonly #engine: Engine
  readonly #configFile: string
  /** Seen here, by their ids: a wake asks Docker for an image only once, and `create` says if it has gone since. */
  readonly #seen = new Map<string, ImageFacts>()

  constructor(engine: Engine, configFile: string) {
    this.#engine = engine
    this.#configFile = configFile
  }

  async ensure(image: string, signal: AbortSignal, of?: Pinned): Promise<ImageFacts> {
    const pinned = of?.pinned
    const seen = pinned && this.#seen.get(pinned.id)
    if (seen !== undefined) return seen
    const path = pathOf(image)
    let found = await this.#inspect(pinned?.id ?? path, signal)
    if (found === undefined) {
      await this.#pull(pinned?.digest === undefined ? image : byDigest(image, pinned.digest), signal)
      found = await this.#inspect(pinned?.id ?? path, signal)
    }
    if (found === undefined)
      throw new ShadowError(
        'image-not-found',
        `the image ${image} of revision ${of?.revision} is not here any more (${pinned?.id}); its name is another's now`,
        { hint: `run the one of now: shadow update ${of?.app} --image ${image}` },
      )
    this.#seen.set(found.id, found)
    return found
  }

  /** For when it turns out to have been removed. */
  async ensureAgain(task: TaskDefinition, signal: AbortSignal): Promise<void> {
    if (task.pinned !== undefined) this.#seen.delete(task.pinned.id)
    await this.ensure(task.image, signal, task)
  }

  /** The image that the name has here now. */
  find(image: string, signal: AbortSignal): Promise<ImageFacts | undefined> {
    return this.#inspect(pathOf(image), signal)
  }

  /** The ids of all images, newest first. */
  async all(): Promise<readonly string[]> {
    const found = await this.#engine.ask(docker => docker.listImages())
    return found.toSorted((a, b) => b.Created - a.Created).map(({ Id }) => Id)
  }

  async #inspect(path: string, signal: AbortSignal): Promise<ImageFacts | undefined> {
    const asking = this.#engine.ask(docker => docker.getImage(path).inspect())
    const found = await orAborted(asking, signal).catch(unlessStatus(404))
    if (found === undefined) return undefined
    const digest = found.RepoDigests?.map(name => name.slice(name.indexOf('@') + 1))[0]
    const ports = Object.keys(found.Config?.ExposedPorts ?? {}).flatMap(port => /^(\d+)\/tcp$/.exec(port)?.[1] ?? [])
    return { id: found.Id, digest, ports: ports.map(Number) }
  }

  async #pull(image: string, signal: AbortSignal): Promise<void> {
    const { registry } = imageName(image)
    try {
      const authconfig = await orAborted(credentialsFor(registry, this.#configFile, signal), signal)
      const options = { _query: pullQuery(image), _body: {} }
      const progress = this.#engine.stream({ method: 'POST', path: '/images/create?', options, authconfig }, signal)
      for await (const line of jsonLines(progress)) {
        // The status is 200 by then: the error of a layer that could not be pulled comes as a line.
        const { error } = line as { error?: unknown }
        if (error !== undefined) throw new Error(String(error))
      }
    } catch (error) {
      if (signal.aborted || error instanceof ShadowError) throw error
      throw new ShadowError('image-not-found', `image ${image} is not here and cannot be pulled: ${messageOf(error)}`, {
        cause: error,
        hint: `check its name, log in to its registry (docker login), or load it here: docker pull ${image}`,
      })
    }
  }
}

/** Definitions that were stored by an older Shadow may name what is no image: fails with `definition-refused`. */
function pathOf(image: string): string {
  try {
    return imagePath(image)
  } catch (cause) {
    throw new ShadowError('definition-refused', asShadowError(cause).message, {
      cause,
      hint: 'name another: shadow update NAME --image IMAGE',
    })
  }
}

/** The JSON objects of a stream, one a line. A line that is none, such as one that was cut, is left out. */
async function* jsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<object> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const value = objectOf(line)
      if (value !== undefined) yield value
    }
  }
}

function objectOf(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined // see `jsonLines`
  }
}
