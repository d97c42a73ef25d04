import type { Log } from '../../lib/log.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Addresses } from './addresses.ts'
import { memberOf, nameOf, noLinks } from './companion-names.ts'
import type { ContainerAt, DockerContainers } from './docker-containers.ts'
import type { DockerImages } from './docker-images.ts'
import { type DockerNetwork, isAmbiguous } from './docker-network.ts'
import { commandNotFound, isNoCommand, messageOf, statusOf } from './failures.ts'
import type { BridgeAt, Firewall } from './firewall.ts'
import type { NamedEgress } from './named-egress.ts'
import type { HeldNetworks } from './networks/held-networks.ts'
import { isOfNetwork } from './networks/open.ts'
import type { PreparedNetworks } from './networks/prepared-networks.ts'
import { orRefused } from './refused.ts'
import type { RefusedConnections } from './refused-connections.ts'
import type { Container, FoundContainer } from './runtime.ts'
import { hasWire } from './wire-mount.ts'

type Options = {
  readonly containers: DockerContainers
  readonly images: Pick<DockerImages, 'ensureAgain'>
  readonly bridge: DockerNetwork
  readonly addresses: Addresses
  readonly firewall: Firewall
  readonly prepared: Pick<PreparedNetworks, 'open' | 'discard'>
  readonly held: HeldNetworks
  readonly refusedConnections: Pick<RefusedConnections, 'belongs' | 'forget'>
  /** Serves apps whose definition names domains; undefined: they are not run. */
  readonly named: NamedEgress | undefined
  /** Whether this node makes rules of the packet filter at all. */
  readonly makesRules: boolean
  readonly log: Log
}

/** A container to make, without what it gets of the network. */
export type Wanted = Omit<ContainerAt, 'address' | 'holder' | 'nameServer' | 'trusts'>

const TRIES = 3

/** Makes containers with an address on the network of the node, and starts them there. The rules of an address are in force before anything at it runs. */
export class AddressedContainers {
  readonly #options: Options
  readonly #addressOf = new Map<string, string>()

  constructor(options: Options) {
    this.#options = options
  }

  async networkAt(): Promise<BridgeAt> {
    const { bridge } = this.#options
    return { bridge: await bridge.ensure(), gateway: bridge.gateway }
  }

  /** The address of a container; undefined if it has none that is known. */
  addressOf({ id }: Pick<Container, 'id'>): string | undefined {
    return this.#addressOf.get(id)
  }

  async create(wanted: Wanted, signal: AbortSignal): Promise<Container> {
    const { firewall, prepared, held, addresses, bridge, makesRules, log } = this.#options
    const { task } = wanted
    if (task.uses !== undefined && !makesRules) throw noLinks(task)
    await firewall.ensure(await this.networkAt(), { recently: true })
    prepared.open()
    const holder = held.take(wanted, firewall.isUsed(task.app))
    if (holder !== undefined) {
      try {
        const made = await this.#createIn(holder.address, { ...wanted, holder: holder.id }, signal)
        held.joined(made, holder)
        return made
      } catch (cause) {
        prepared.discard(holder)
        signal.throwIfAborted()
        // Of a fault of the definition, the second try says the same.
        log.debug('container not made with a prepared network', { app: task.app, cause })
      }
    }
    const address = await addresses.take(bridge.subnet)
    try {
      return await this.#createIn(address, wanted, signal)
    } catch (error) {
      addresses.free(address)
      throw error
    }
  }

  async #createIn(address: string, wanted: Wanted & { holder?: string }, signal: AbortSignal): Promise<Container> {
    const { firewall, bridge, named, refusedConnections } = this.#options
    const { instance, task } = wanted
    try {
      firewall.credentials(address, task.wire ?? [])
      await firewall.allow(address, task.egress ?? [], memberOf(task)) // before anything of it runs
      // Where somebody has removed the network, its bridge is gone, and the rules with it.
      if (!firewall.holds(task.egress)) await firewall.ensure(await bridge.remake().then(() => this.networkAt()))
      firewall.mustHold(task.egress)
      const trusts = hasWire(task) ? await named?.certificates() : undefined
      const made = await this.#createAt({ ...wanted, address, nameServer: bridge.gateway, trusts }, signal)
      this.#addressOf.set(made.id, address)
      refusedConnections.belongs(address, instance)
      return made
    } catch (error) {
      await firewall.forget(address).catch(() => undefined) // the next start reports it
      throw error
    }
  }

  async #createAt(made: ContainerAt, signal: AbortSignal): Promise<Container> {
    const { containers, images, held, bridge, firewall } = this.#options
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
      else if (isAmbiguous(error)) {
        await bridge.remake()
        await firewall.ensure(await this.networkAt())
      } else return orRefused(task)(error)
    }
    return containers.create(made).catch(orRefused(task))
  }

  /** Starts it. If its network is gone or its address is taken, makes the network or takes another address first. */
  async start(container: Container): Promise<void> {
    const { containers, firewall, bridge, addresses, held, refusedConnections } = this.#options
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
      await bridge.remake()
      await firewall.ensure(await this.networkAt())
      // The old address is not freed: another container has it, or its subnet is gone.
      const before = this.addressOf(container)
      const address = await addresses.take(bridge.subnet)
      if (before !== undefined) await firewall.move(before, address)
      await containers.readdress(container, address)
      this.#addressOf.set(container.id, address)
      refusedConnections.belongs(address, container.instance)
    }
  }

  /** The rules of the address of a container that was made before are those of this definition, and in force. */
  async holdAgain(container: Container, task: TaskDefinition): Promise<void> {
    const { firewall } = this.#options
    const address = this.addressOf(container)
    if (address === undefined) throw new Error(`container ${container.id} has no address`)
    await firewall.ensure(await this.networkAt(), { recently: true })
    firewall.credentials(address, task.wire ?? [])
    await firewall.allow(address, task.egress ?? [], memberOf(task))
    firewall.mustHold(task.egress)
  }

  /** Takes over the address of a container that was found; false if it has none, or is known. */
  adopt({ id, instance, ip }: Pick<FoundContainer, 'id' | 'instance' | 'ip'>): boolean {
    if (ip === undefined || this.#addressOf.has(id)) return false
    const { addresses, refusedConnections } = this.#options
    addresses.isUsed(ip)
    this.#addressOf.set(id, ip)
    refusedConnections.belongs(ip, instance)
    return true
  }

  /** The container was removed: its address rests, and has no rules any more. */
  async left(container: Pick<Container, 'id'>): Promise<void> {
    const { firewall, addresses, held, refusedConnections } = this.#options
    const address = this.addressOf(container) ?? ''
    await refusedConnections.forget(address, firewall.bridge)
    await firewall.forget(address).catch(() => undefined) // the next start reports the error
    if (held.has(container)) await held.left(container)
    else addresses.free(address)
    this.#addressOf.delete(container.id)
  }
}
