import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName } from '../../model/names.ts'
import { Addresses } from './addresses.ts'
import type { BridgeAt } from './bridge-rules.ts'
import type { Engine } from './docker-engine.ts'
import { DockerNetwork } from './docker-network.ts'
import { LABEL_NODE } from './runtime.ts'

/** How many containers one network has at most. A bridge of Linux has 1,023 ports; the others are for containers that are not ours, and for ends that Docker has not seen yet. */
const MOST_PORTS = 1_000
/** The part of the first network that is kept for apps that use others or are used: these are all on it. */
const KEPT_FOR_LINKED = 1 / 4
/** The next network is made when so few places are left: then no wake waits for it, and fronts know its addresses before an app has one. */
const AHEAD = 1 / 32
/** A further network that was empty for so long is removed. */
const EMPTY_MS = 600_000

type Options = {
  readonly engine: Engine
  readonly node: NodeName
  /** The name of the first network. */
  readonly name: string
  /** Where the turn of the addresses of the first network is kept; those of the others have a number at the end. */
  readonly addressesFile: string | undefined
  /** Left out: MOST_PORTS. */
  readonly mostPorts?: number | undefined
  /** Called after a network was removed. */
  readonly onRemoved: (network: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/** A network of the node, with an address in it. */
export type Place = { readonly network: DockerNetwork; readonly address: string }

/**
 * The networks of the apps of a node: one bridge does not carry all of them. The first one is always there; the others are made when those before
 * them are nearly full, and removed when they were empty for a while.
 */
export class AppNetworks {
  readonly #options: Options
  readonly #most: number
  readonly first: DockerNetwork
  readonly #further: DockerNetwork[] = []
  /** Those that are being removed: nothing is put in them. */
  readonly #going = new Set<DockerNetwork>()
  readonly #timers = new Map<DockerNetwork, Disposable>()
  #opened: Promise<void> | undefined
  /** Resolves when no network is being made ahead. */
  #making: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
    this.#most = options.mostPorts ?? MOST_PORTS
    this.first = this.#networkOf(1)
  }

  get all(): readonly DockerNetwork[] {
    return [this.first, ...this.#further]
  }

  /** Learns of the networks that earlier runs of the node have made; asks Docker once. */
  open(): Promise<void> {
    this.#opened ??= this.#find().catch(error => {
      this.#opened = undefined
      throw error
    })
    return this.#opened
  }

  /**
   * Takes an address on a network with a free place. `isLinked`: the app uses others or is used by others. These have to be on one bridge, since Docker's
   * DNS knows the names of one network only. Fails with `addresses-full`.
   */
  async take({ isLinked }: { readonly isLinked: boolean }): Promise<Place> {
    await this.open()
    const network = isLinked ? this.first : this.#withRoom()
    if (isLinked && network.used >= this.#most) throw full(this.#most)
    const taking = network.take()
    if (!isLinked) this.#makeAhead()
    try {
      return { network, address: await taking }
    } catch (error) {
      if (network === this.first || network.isKnown) throw error
      this.#leaveOut(network)
      // There is no subnet for another network: apps get what was kept for those that are linked.
      if (!isFailure(error, 'addresses-full') || this.first.used >= this.#most) throw error
      return { network: this.first, address: await this.first.take() }
    }
  }

  /** The network of an address; undefined if it is in none. */
  of(address: string): DockerNetwork | undefined {
    return this.all.find(network => network.has(address))
  }

  /** The container that had the address has gone. */
  free(address: string): void {
    const network = this.of(address)
    network?.free(address)
    if (network !== undefined) this.#watch(network)
  }

  /** Whether a network of this name is one of these. */
  isOurs(name: string): boolean {
    return this.all.some(network => network.name === name)
  }

  /** Takes IPv6 off the links that came to the network of the address since the last call. */
  async takeIPv6Off(address: string): Promise<void> {
    await (this.of(address) ?? this.first).takeIPv6Off()
  }

  /** Where those are that are there. */
  async here(): Promise<readonly BridgeAt[]> {
    await this.open()
    const found = await Promise.all(this.all.map(network => (this.#going.has(network) ? undefined : network.find())))
    return found.flatMap(at => at ?? [])
  }

  /** The node ends: further networks that are empty are removed. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer[Symbol.dispose]()
    await this.#making
    for (const network of [...this.#further]) if (network.used === 0) await this.#remove(network)
  }

  async #find(): Promise<void> {
    const { engine, node, name } = this.#options
    await this.first.find()
    const label = ['shadow=network', `${LABEL_NODE}=${node}`]
    const all = await engine.ask(docker => docker.listNetworks({ filters: { label } }))
    const numbers = new Set(
      all.flatMap(({ Name }) => (Name.startsWith(`${name}_`) ? Number(Name.slice(name.length + 1)) : [])),
    )
    for (const number of [...numbers].filter(Number.isInteger).toSorted((a, b) => a - b)) {
      const network = this.#networkOf(number)
      if (this.isOurs(network.name) || (await network.find()) === undefined) continue
      this.#further.push(network)
      this.#watch(network)
    }
  }

  // No name of a node has a `_`, so that the further networks of `n1` are not those of a node `n1-2`.
  #networkOf(number: number): DockerNetwork {
    const { engine, node, name, clock, addressesFile } = this.#options
    const suffix = number === 1 ? '' : `_${number}`
    const file = addressesFile === undefined ? undefined : `${addressesFile}${suffix}`
    return new DockerNetwork(engine, node, `${name}${suffix}`, new Addresses({ clock, file }))
  }

  /** How many more containers the network takes of apps that are not linked. */
  #roomIn(network: DockerNetwork): number {
    const kept = network === this.first ? Math.floor(this.#most * KEPT_FOR_LINKED) : 0
    return this.#going.has(network) ? 0 : Math.max(0, this.#most - kept - network.used)
  }

  #roomInAll(networks: readonly DockerNetwork[]): number {
    return networks.reduce((sum, network) => sum + this.#roomIn(network), 0)
  }

  get #ahead(): number {
    return Math.max(1, Math.floor(this.#most * AHEAD))
  }

  #withRoom(): DockerNetwork {
    return this.all.find(network => this.#roomIn(network) > 0) ?? this.#add()
  }

  #add(): DockerNetwork {
    let number = 2
    while (this.isOurs(this.#networkOf(number).name)) number += 1
    const network = this.#networkOf(number)
    this.#further.push(network)
    this.#watch(network)
    return network
  }

  #makeAhead(): void {
    if (this.#isClosed || this.#roomInAll(this.all) > this.#ahead) return
    const network = this.#add()
    this.#making = network.ensure().catch(cause => {
      this.#leaveOut(network)
      this.#options.log.warn('no further network for apps', { network: network.name, cause })
    })
  }

  /** It could not be made. */
  #leaveOut(network: DockerNetwork): void {
    const at = this.#further.indexOf(network)
    if (at >= 0 && !network.isKnown) this.#further.splice(at, 1)
  }

  /** Looks after a while whether a further network is empty, and not needed soon. */
  #watch(network: DockerNetwork): void {
    if (network === this.first || network.used > 0 || this.#isClosed) return
    this.#timers.get(network)?.[Symbol.dispose]()
    const look = async (): Promise<void> => {
      this.#timers.delete(network)
      if (network.used > 0 || this.#isClosed || !this.#further.includes(network)) return
      const others = this.all.filter(one => one !== network)
      if (this.#roomInAll(others) > 2 * this.#ahead) await this.#remove(network)
      else this.#watch(network)
    }
    this.#timers.set(
      network,
      this.#options.clock.after(EMPTY_MS, () => void look()),
    )
  }

  async #remove(network: DockerNetwork): Promise<void> {
    const { log, onRemoved } = this.#options
    this.#going.add(network)
    try {
      if (!(await network.remove())) return // a container is in it that is not ours
      this.#further.splice(this.#further.indexOf(network), 1)
      await onRemoved(network.name)
    } catch (cause) {
      log.warn('empty network not removed', { network: network.name, cause })
    } finally {
      this.#going.delete(network)
    }
  }
}

const full = (most: number): ShadowError =>
  new ShadowError(
    'addresses-full',
    `the first network of the apps has ${most} containers, and apps that use others or are used are all on it`,
    {
      hint: 'put apps to sleep, or add a node: frozen, suspended and parked apps count, too',
      retryAfterMs: 1_000,
    },
  )
