import type Docker from 'dockerode'
import { ShadowError } from '../../lib/errors.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'

/** The bridge network that apps are on; made where it is missing, "exists already" being success. */
export class DockerNetwork {
  readonly name: string
  readonly #engine: Engine
  #made: Promise<string> | undefined

  constructor(engine: Engine, name: string) {
    this.#engine = engine
    this.name = name
  }

  /** Makes sure that it is there, and answers the name of its bridge; asks Docker once. Fails with `already-exists` where it is somebody else's. */
  ensure(): Promise<string> {
    this.#made ??= this.#make().catch(error => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  /** For when it turns out to have been removed. */
  remake(): Promise<string> {
    this.#made = undefined
    return this.ensure()
  }

  /** The name of its bridge; undefined where there is no such network. */
  async bridge(): Promise<string | undefined> {
    const found = await this.#find()
    return found?.Labels?.['shadow'] === 'network' ? bridgeOf(found) : undefined
  }

  #find(): Promise<Docker.NetworkInspectInfo | undefined> {
    return this.#engine
      .ask(docker => docker.getNetwork(encodeURIComponent(this.name)).inspect())
      .catch(unlessStatus(404))
  }

  async #make(): Promise<string> {
    const { ask } = this.#engine
    const found = await this.#find()
    if (found === undefined) {
      await ask(docker =>
        docker.createNetwork({
          Name: this.name,
          Driver: 'bridge',
          CheckDuplicate: true,
          Labels: { shadow: 'network' },
          Options: { 'com.docker.network.bridge.enable_icc': 'false' }, // apps do not reach one another behind the front
        }),
      ).catch(unlessStatus(409))
      const made = await this.#find()
      if (made !== undefined) return bridgeOf(made)
      throw new ShadowError('internal', `Docker made no network "${this.name}"`)
    }
    if (found.Labels?.['shadow'] !== 'network')
      throw new ShadowError('already-exists', `Docker has a network "${this.name}" that is not ours`, {
        hint: `remove it: docker network rm ${this.name}`,
      })
    return bridgeOf(found)
  }
}

/** Docker names a bridge by the network's id, unless told otherwise. */
const bridgeOf = ({ Id, Options }: Docker.NetworkInspectInfo): string =>
  Options?.['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`
