import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { AppNetworks, Place } from './app-networks.ts'
import { memberOf, nameOf, noLinks } from './companion-names.ts'
import type { ContainerAt, DockerContainers } from './docker-containers.ts'
import type { DockerImages } from './docker-images.ts'
import { type DockerNetwork, isAmbiguous } from './docker-network.ts'
import { commandNotFound, isNoCommand, messageOf, statusOf } from './failures.ts'
import type { Firewall } from './firewall.ts'
import type { NamedEgress } from './named-egress.ts'
import type { HeldNetworks } from './networks/held-networks.ts'
import type { Holder } from './networks/network-holders.ts'
import { isOfNetwork } from './networks/open.ts'
import type { PreparedNetworks } from './networks/prepared-networks.ts'
import { orRefused } from './refused.ts'
import type { RefusedConnections } from './refused-connections.ts'
import type { Container, FoundContainer } from './runtime.ts'
import { hasWire } from './wire-mount.ts'

type Options = {
  readonly containers: DockerContainers
  readonly images: Pick<DockerImages, 'ensureAgain'>
  readonly networks: AppNetworks
  readonly firewall: Firewall
  readonly prepared: Pick<PreparedNetworks, 'open' | 'discard'>
  readonly held: HeldNetworks
  readonly refusedConnections: Pick<RefusedConnections, 'belongs' | 'forget'>
  /** Serves apps whose definition names domains; undefined: they are not run. */
  readonly named: NamedEgress | undefined
  /** Whether definitions that are known say of another app that it uses this one. */
  readonly isUsed: (app: AppName) => boolean
  /** Whether this node makes rules of the packet filter at all. */
  readonly makesRules: boolean
  readonly log: Log
}

/** A container to make, without what it gets of the network. */
export type Wanted = Omit<ContainerAt, 'network' | 'address' | 'holder' | 'nameServer' | 'trusts'>

const TRIES = 3

/** Makes containers with an address on a network of the node, and starts them there. The rules of an address are in force before anything at it runs. */
export class AddressedContainers {
  readonly #options: Options
  readonly #places = new Map<string, Place>()

  constructor(options: Options) {
    this.#options = options
  }

  /** The address of a container; undefined if it has none that is known. */
  addressOf({ id }: Pick<Container, 'id'>): string | undefined {
    return this.#places.get(id)?.address
  }

  /** The name of the network that a container is on. */
  networkOf({ id }: Pick<Container, 'id'>): string {
    return (this.#places.get(id)?.network ?? this.#options.networks.first).name
  }

  async create(wanted: Wanted, signal: AbortSignal): Promise<Container> {
    const { firewall, prepared, held, networks, makesRules, log } = this.#options
    const { task } = wanted
    if (task.uses !== undefined && !makesRules) throw noLinks(task)
    await firewall.ensure(await networks.first.at(), { recently: true })
    prepared.open()
    const isLinked = this.#isLinked(task)
    const isFit = ({ address }: Holder): boolean => !isLinked || networks.first.has(address)
    const holder = held.take(wanted, firewall.isUsed(task.app), isFit)
    if (holder !== undefined) {
      try {
        const place = { network: this.#networkOf(holder), address: holder.address }
        const made = await this.#createIn(place, { ...wanted, holder: holder.id }, signal)
        held.joined(made, holder)
        return made
      } catch (cause) {
        prepared.discard(holder)
        signal.throwIfAborted()
        // Of a fault of the definition, the second try says the same.
        log.debug('container not made with a prepared network', { app: task.app, cause })
      }
    }
    const place = await networks.take({ isLinked })
    try {
      return await this.#createIn(place, wanted, signal)
    } catch (error) {
      networks.free(place.address)
      throw error
    }
  }

  /** Whether the app has to be on one bridge with others: it uses them, or is used. */
  #isLinked({ app, uses }: Pick<TaskDefinition, 'app' | 'uses'>): boolean {
    return uses !== undefined || this.#options.firewall.isUsed(app) || this.#options.isUsed(app)
  }

  /** Whether the container is on a network where an app with this definition may be. */
  isWhereItHasToBe(container: Pick<Container, 'id'>, task: TaskDefinition): boolean {
    return !this.#isLinked(task) || this.#places.get(container.id)?.network === this.#options.networks.first
  }

  /** The network of an address that was given before; the containers of an earlier Shadow are on another one, and count as on the first. */
  #networkOf({ address }: Pick<Place, 'address'>): DockerNetwork {
    const { networks } = this.#options
    return networks.of(address) ?? networks.first
  }

  async #createIn(place: Place, wanted: Wanted & { holder?: string }, signal: AbortSignal): Promise<Container> {
    const { firewall, named, refusedConnections } = this.#options
    const { instance, task } = wanted
    const { network, address } = place
    try {
      await firewall.ensure(await network.at(), { recently: true })
      firewall.credentials(address, task.wire ?? [])
      await firewall.allow(address, task.egress ?? [], memberOf(task)) // before anything of it runs
      // Where somebody has removed the network, its bridge is gone, and the rules with it.
      if (!firewall.holds(network.name, task.egress)) await this.#remake(network)
      firewall.mustHold(network.name, task.egress)
      const trusts = hasWire(task) ? await named?.certificates() : undefined
      const at = { network: network.name, address, nameServer: network.gateway }
      const made = await this.#createAt({ ...wanted, ...at, trusts }, network, signal)
      this.#places.set(made.id, place)
      refusedConnections.belongs(address, instance)
      return made
    } catch (error) {
      await firewall.forget(address).catch(() => undefined) // the next start reports it
      throw error
    }
  }

  async #createAt(made: ContainerAt, network: DockerNetwork, signal: AbortSignal): Promise<Container> {
    const { containers, images, held } = this.#options
    const { instance, key, task } = made
    try {
      return await containers.create(made)
    } catch (error) {
      if (isNoCommand(error)) throw commandNotFound(task.app, messageOf(error), error)
      if (statusOf(error) === 409) {
        const id = await containers.removeLeftOver(instance, key)
        if (id !== undefined) await held.left({ id })
      }
      // A holder that is gone is told in the same way, and its container is made with a network of its own then.
      else if (statusOf(error) === 404 && made.holder === undefined) await images.ensureAgain(task, signal)
      else if (isAmbiguous(error)) await this.#remake(network)
      else return orRefused(task)(error)
    }
    return containers.create(made).catch(orRefused(task))
  }

  /** Makes a network again that is gone, or is there twice, with its rules. */
  async #remake(network: DockerNetwork): Promise<void> {
    await network.remake()
    await this.#options.firewall.ensure(await network.at())
  }

  /** Starts it. If its network is gone or its address is taken, makes the network or takes another address first. */
  async start(container: Container): Promise<void> {
    const { containers, firewall, held, refusedConnections } = this.#options
    const network = this.#places.get(container.id)?.network ?? this.#options.networks.first
    this.#mustBeTogether(container)
    // A companion with a prepared network has no name yet: Docker's DNS gets it before the one that asks for it.
    for (const companion of firewall.usesOf(this.addressOf(container) ?? ''))
      await held.name(companion, nameOf(companion))
    for (let left = TRIES; ; left -= 1) {
      try {
        return await containers.start(container)
      } catch (error) {
        if (left > 0 && (await held.mended(container, error))) continue
        if (left === 0 || held.has(container) || !isOfNetwork(error)) throw error
      }
      await this.#remake(network)
      // The old address is not freed: another container has it, or its subnet is gone.
      const before = this.addressOf(container)
      const address = await network.take()
      if (before !== undefined) await firewall.move(before, address)
      await containers.readdress(container, network.name, address)
      this.#places.set(container.id, { network, address })
      refusedConnections.belongs(address, container.instance)
    }
  }

  /** Fails with `companion-not-ready` if a companion was awake on another network before anybody used it. */
  #mustBeTogether(container: Container): void {
    const { firewall } = this.#options
    const own = this.#places.get(container.id)
    if (own === undefined) return
    for (const companion of firewall.usesOf(own.address)) {
      const all = firewall.addressesOf(companion)
      if (all.length > 0 && !all.some(address => own.network.has(address))) throw apart(container.app, companion)
    }
  }

  /** The rules of the address of a container that was made before are those of this definition, and in force. */
  async holdAgain(container: Container, task: TaskDefinition): Promise<void> {
    const { firewall } = this.#options
    const address = this.addressOf(container)
    if (address === undefined) throw new Error(`container ${container.id} has no address`)
    const network = this.#networkOf({ address })
    await firewall.ensure(await network.at(), { recently: true })
    firewall.credentials(address, task.wire ?? [])
    await firewall.allow(address, task.egress ?? [], memberOf(task))
    firewall.mustHold(network.name, task.egress)
  }

  /** Takes over the address of a container that was found; false if it has none, or is known. */
  adopt({ id, instance, ip }: Pick<FoundContainer, 'id' | 'instance' | 'ip'>): boolean {
    if (ip === undefined || this.#places.has(id)) return false
    const { networks, refusedConnections } = this.#options
    networks.of(ip)?.isUsed(ip)
    this.#places.set(id, { network: this.#networkOf({ address: ip }), address: ip })
    refusedConnections.belongs(ip, instance)
    return true
  }

  /** The container was removed: its address rests, and has no rules any more. */
  async left(container: Pick<Container, 'id'>): Promise<void> {
    const { firewall, networks, held, refusedConnections } = this.#options
    const address = this.addressOf(container) ?? ''
    await refusedConnections.forget(address, firewall.bridges)
    await firewall.forget(address).catch(() => undefined) // the next start reports the error
    if (held.has(container)) await held.left(container)
    else networks.free(address)
    this.#places.delete(container.id)
  }
}

const apart = (app: AppName, companion: AppName): ShadowError =>
  new ShadowError(
    'companion-not-ready',
    `${app} uses ${companion}, which woke on another network of this node before it was used by any app`,
    { hint: `it wakes beside ${app} after it was asleep: shadow sleep ${companion}`, retryAfterMs: 10_000 },
  )
