import { orAborted } from '../../lib/abort.ts'
import { ShadowError } from '../../lib/errors.ts'
import { credentialsFor } from './credentials.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { toldBy } from './failures.ts'
import { imageName } from './image-name.ts'

/** The images of this machine's Docker. */
export class DockerImages {
  readonly #engine: Engine
  readonly #configFile: string
  /** Seen here: a wake asks Docker for an image only once, and `create` says if it has gone since. */
  readonly #present = new Set<string>()

  constructor(engine: Engine, configFile: string) {
    this.#engine = engine
    this.#configFile = configFile
  }

  async ensure(image: string, signal: AbortSignal): Promise<void> {
    if (this.#present.has(image)) return
    const asking = this.#engine.ask(docker => docker.getImage(image).inspect())
    const found = await orAborted(asking, signal).catch(unlessStatus(404))
    if (found === undefined) await this.#pull(image, signal)
    this.#present.add(image)
  }

  /** For when it turns out to have been removed. */
  async ensureAgain(image: string, signal: AbortSignal): Promise<void> {
    this.#present.delete(image)
    await this.ensure(image, signal)
  }

  async #pull(image: string, signal: AbortSignal): Promise<void> {
    const { ask } = this.#engine
    const { registry, full } = imageName(image)
    try {
      const authconfig = await orAborted(credentialsFor(registry, this.#configFile, signal), signal)
      const pulling = ask(docker => docker.pull(full, { ...(authconfig && { authconfig }) }))
      const progress = (await orAborted(pulling, signal)) as NodeJS.ReadableStream & { destroy(): void }
      const followed = ask(
        docker =>
          new Promise<void>((resolve, reject) =>
            docker.modem.followProgress(progress, error => (error ? reject(error) : resolve())),
          ),
      )
      await orAborted(followed, signal).finally(() => progress.destroy()) // which is how Docker is told to stop
    } catch (error) {
      if (signal.aborted || error instanceof ShadowError) throw error
      throw new ShadowError('image-not-found', `image ${image} is not here and cannot be pulled: ${toldBy(error)}`, {
        cause: error,
        hint: `check its name, log in to its registry (docker login), or load it here: docker pull ${image}`,
      })
    }
  }
}
