import { ShadowError } from '../../lib/errors.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'

/** The bridge network that apps are on; made where it is missing, "exists already" being success. */
export class DockerNetwork {
  readonly name: string
  readonly #engine: Engine
  #made: Promise<void> | undefined

  constructor(engine: Engine, name: string) {
    this.#engine = engine
    this.name = name
  }

  /** Makes sure that it is there; asks Docker once. Fails with `already-exists` where it is somebody else's. */
  ensure(): Promise<void> {
    this.#made ??= this.#make().catch(error => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  /** For when it turns out to have been removed. */
  remake(): Promise<void> {
    this.#made = undefined
    return this.ensure()
  }

  async #make(): Promise<void> {
    const { ask } = this.#engine
    const found = await ask(docker => docker.getNetwork(encodeURIComponent(this.name)).inspect()).catch(
      unlessStatus(404),
    )
    if (found === undefined)
      await ask(docker =>
        docker.createNetwork({
          Name: this.name,
          Driver: 'bridge',
          CheckDuplicate: true,
          Labels: { shadow: 'network' },
          Options: { 'com.docker.network.bridge.enable_icc': 'false' }, // apps do not reach one another behind the front
        }),
      ).catch(unlessStatus(409))
    else if (found.Labels?.['shadow'] !== 'network')
      throw new ShadowError('already-exists', `Docker has a network "${this.name}" that is not ours`, {
        hint: `remove it: docker network rm ${this.name}`,
      })
  }
}
