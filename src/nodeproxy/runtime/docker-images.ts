import { orAborted } from '../../lib/abort.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import { isOciDigest, type StoredImage, storedImage } from '../../model/image-store.ts'
import { MASTER_HOST } from '../../model/member.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { OpenImage, ReadableImage } from '../images/pull-registry.ts'
import { credentialsFor } from './credentials.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf } from './failures.ts'
import { byDigest, imageName, imagePath, pullQuery } from './image-name.ts'
import { jsonLines } from './json-lines.ts'
import type { ImageFacts, Pinned } from './runtime.ts'

/** Where Docker pulls images of the masters' store. */
export type StoredImages = { open(image: ReadableImage): Promise<OpenImage> }

/** The images of this machine's Docker. */
export class DockerImages {
  readonly #engine: Engine
  readonly #configFile: string
  readonly #stored: StoredImages | undefined
  /** Seen here, by their ids: a wake asks Docker for an image only once, and `create` says if it has gone since. */
  readonly #seen = new Map<string, ImageFacts>()

  constructor(engine: Engine, configFile: string, stored?: StoredImages) {
    this.#engine = engine
    this.#configFile = configFile
    this.#stored = stored
  }

  async ensure(image: string, signal: AbortSignal, of?: Pinned): Promise<ImageFacts> {
    const pinned = of?.pinned
    const seen = pinned && this.#seen.get(pinned.id)
    if (seen !== undefined) return seen
    const inStore = orRefused(() => storedImage(image))
    if (inStore !== undefined) return this.#ensureStored(image, inStore, signal, of)
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

  /** As `ensure`, for an image of the masters' store. Its name here is made of its digest, so that no later push changes what it means. */
  async #ensureStored(image: string, { repository, tag }: StoredImage, signal: AbortSignal, of?: Pinned) {
    const { pinned } = of ?? {}
    const digest = pinned?.digest
    if (digest === undefined || !isOciDigest(digest) || this.#stored === undefined)
      return this.#ensureBuilt(image, pinned?.id, signal)
    const name = `${MASTER_HOST}/${repository}`
    const own = `${tag.slice(0, 100)}-${digest.slice(digest.indexOf(':') + 1).slice(0, 12)}`
    const path = pathOf(`${name}:${own}`)
    const here = async () => (await this.#inspect(pinned?.id ?? path, signal)) ?? (await this.#inspect(path, signal))
    let found = await here()
    if (found === undefined) {
      using opened = await this.#stored.open({ repository, digest, permit: pinned?.permit })
      try {
        await this.#pullFrom(opened.name, opened.credentials, signal)
      } catch (error) {
        signal.throwIfAborted()
        const why = opened.failure ?? error
        throw why instanceof ShadowError && !isFailure(why, 'not-found', 'forbidden') ? why : notPulled(image, why)
      }
      const pulled = pathOf(opened.name)
      await this.#engine.ask(docker => docker.getImage(pulled).tag({ repo: name, tag: own }))
      // The port is another one after the next start of this node.
      await this.#engine.ask(docker => docker.getImage(pulled).remove()).catch(unlessStatus(404, 409))
      found = await here()
    }
    if (found === undefined) throw notPulled(image, `Docker does not have it after the pull`)
    const facts = { ...found, digest }
    this.#seen.set(found.id, facts)
    return facts
  }

  /** As `ensure`, for an image that was built on a node and never pushed. */
  async #ensureBuilt(image: string, id: string | undefined, signal: AbortSignal): Promise<ImageFacts> {
    const found = await this.#inspect(id ?? pathOf(image), signal)
    if (found === undefined)
      throw new ShadowError('image-not-found', `image ${image} was built by Shadow, and is not on this node`, {
        hint: 'build it here: shadow deploy',
      })
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
      await this.#pullFrom(image, authconfig, signal)
    } catch (error) {
      if (signal.aborted || error instanceof ShadowError) throw error
      throw new ShadowError('image-not-found', `image ${image} is not here and cannot be pulled: ${messageOf(error)}`, {
        cause: error,
        hint: `check its name, log in to its registry (docker login), or load it here: docker pull ${image}`,
      })
    }
  }

  async #pullFrom(image: string, authconfig: object | undefined, signal: AbortSignal): Promise<void> {
    const options = { _query: pullQuery(image), _body: {} }
    const progress = this.#engine.stream({ method: 'POST', path: '/images/create?', options, authconfig }, signal)
    for await (const line of jsonLines(progress)) {
      // The status is 200 by then: the error of a layer that could not be pulled comes as a line.
      const { error } = line as { error?: unknown }
      if (error !== undefined) throw new Error(String(error))
    }
  }
}

const notPulled = (image: string, why: unknown): ShadowError =>
  new ShadowError('image-not-found', `the image ${image} cannot be pulled from the masters: ${messageOf(why)}`, {
    cause: why,
    hint: 'see what they have: shadow images ls',
  })

const pathOf = (image: string): string => orRefused(() => imagePath(image))

/** Definitions that were stored by an older Shadow may name what is no image: fails with `definition-refused`. */
function orRefused<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new ShadowError('definition-refused', asShadowError(cause).message, {
      cause,
      hint: 'name another: shadow update NAME --image IMAGE',
    })
  }
}
