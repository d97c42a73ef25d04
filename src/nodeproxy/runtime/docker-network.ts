import type Docker from 'dockerode'
import { ShadowError } from '../../lib/errors.ts'
import type { NodeName } from '../../model/names.ts'
import type { Addresses } from './addresses.ts'
import type { BridgeAt } from './bridge-rules.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf, statusOf } from './failures.ts'
import { HostLinks } from './host-links.ts'
import { LABEL_NODE } from './runtime.ts'
import { candidatesFor, isIn, parseSubnet, printAddress, printSubnet, reachedFromHere, type Subnet } from './subnets.ts'

const OVERLAPS = /overlaps with other one|conflicts with network/i
// More than there are networks on any machine.
const TRIES = 64

/** A bridge network for apps of a node, with a subnet that we choose; made where it is missing, "exists already" being success. */
export class DockerNetwork {
  readonly name: string
  readonly #engine: Engine
  readonly #node: NodeName
  readonly #links = new HostLinks()
  readonly #addresses: Addresses
  /** How many addresses are being taken. */
  #coming = 0
  #made: Promise<string> | undefined
  #subnet: Subnet | undefined

  constructor(engine: Engine, node: NodeName, name: string, addresses: Addresses) {
    this.#engine = engine
    this.#node = node
    this.name = name
    this.#addresses = addresses
  }

  /** How many containers are in it, or will be: those that are made, run, wait or have stopped. */
  get used(): number {
    return this.#addresses.used + this.#coming
  }

  /** Whether it is known to be there. */
  get isKnown(): boolean {
    return this.#subnet !== undefined
  }

  /** Whether the address is in its range. */
  has(address: string): boolean {
    return this.#subnet !== undefined && isIn(this.#subnet, address)
  }

  /** Makes sure that it is there, and takes an address of it. Fails with `addresses-full`. */
  async take(): Promise<string> {
    this.#coming += 1
    try {
      await this.ensure()
      return await this.#addresses.take(this.subnet)
    } finally {
      this.#coming -= 1
    }
  }

  /** A container that was found has the address. */
  isUsed(address: string): void {
    this.#addresses.isUsed(address)
  }

  /** The container that had the address has gone. */
  free(address: string): void {
    this.#addresses.free(address)
  }

  /** The range of its addresses, once it was made sure of. */
  get subnet(): Subnet {
    if (this.#subnet === undefined) throw new Error(`the network ${this.name} is used before ensure()`)
    return this.#subnet
  }

  /** The machine's own address in it, once it was made sure of. */
  get gateway(): string {
    return printAddress(this.subnet.base + 1)
  }

  /** Makes sure that the network is there, and resolves with the name of its bridge; asks Docker once. Fails with `already-exists` if the network is not ours. */
  ensure(): Promise<string> {
    this.#made ??= this.#make().catch(error => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  /** Takes IPv6 off the links that came to it since the last call. */
  async takeIPv6Off(): Promise<void> {
    await this.#links.takeIPv6Off(await this.ensure())
  }

  /** For when it turns out to have been removed. */
  remake(): Promise<string> {
    this.#made = undefined
    return this.ensure()
  }

  /** Where it is; makes it if it is missing. */
  async at(): Promise<BridgeAt> {
    return this.#at(await this.ensure())
  }

  /** Where it is now, as Docker says; undefined where there is no such network. */
  async find(): Promise<BridgeAt | undefined> {
    const found = await this.#find()
    return found?.Labels?.['shadow'] === 'network' ? this.#at(this.#taken(found)) : undefined
  }

  /** Removes it; false if a container that runs is in it. */
  async remove(): Promise<boolean> {
    try {
      await this.#engine.ask(docker => docker.getNetwork(encodeURIComponent(this.name)).remove())
    } catch (error) {
      if (statusOf(error) === 403) return false // it has active endpoints
      unlessStatus(404)(error)
    }
    this.#made = undefined
    this.#subnet = undefined
    return true
  }

  #at(bridge: string): BridgeAt {
    return { network: this.name, bridge, gateway: this.gateway, subnet: this.subnet }
  }

  async #find(): Promise<Docker.NetworkInspectInfo | undefined> {
    try {
      return await this.#inspect()
    } catch (error) {
      if (!isAmbiguous(error)) throw error
      await this.#removeOthers()
      return this.#inspect()
    }
  }

  #inspect(): Promise<Docker.NetworkInspectInfo | undefined> {
    return this.#engine
      .ask(docker => docker.getNetwork(encodeURIComponent(this.name)).inspect())
      .catch(unlessStatus(404))
  }

  /** Leaves the oldest network of the name. Docker makes a second one where a call that makes it was cut and is repeated before the first one has ended. */
  async #removeOthers(): Promise<void> {
    const { ask } = this.#engine
    const all = await ask(docker => docker.listNetworks({ filters: { name: [this.name] } }))
    const ours = all.filter(({ Name, Labels }) => Name === this.name && Labels?.['shadow'] === 'network')
    const [, ...others] = ours.toSorted((a, b) => (a.Created < b.Created ? -1 : 1))
    for (const { Id } of others) await ask(docker => docker.getNetwork(Id).remove()).catch(unlessStatus(404))
  }

  async #make(): Promise<string> {
    const { ask } = this.#engine
    const found = await this.#find()
    if (found === undefined) return this.#taken(await this.#create())
    if (found.Labels?.['shadow'] !== 'network')
      throw new ShadowError('already-exists', `Docker has a network "${this.name}" that is not ours`, {
        hint: `remove it: docker network rm ${this.name}`,
      })
    if (found.Labels[LABEL_SUBNET] !== undefined) return this.#taken(found)
    // Docker chose its subnet, and gives fixed addresses only in one that it did not choose.
    await ask(docker => docker.getNetwork(found.Id).remove()).catch(cause => {
      throw new ShadowError('already-exists', `Docker has a network "${this.name}" whose subnet is not ours`, {
        cause,
        hint: `end the containers in it, then: docker network rm ${this.name}`,
      })
    })
    return this.#taken(await this.#create())
  }

  #taken(found: Docker.NetworkInspectInfo): string {
    this.#subnet = parseSubnet(found.IPAM?.Config?.[0]?.Subnet ?? '')
    return bridgeOf(found)
  }

  /** Makes it with the first subnet that meets no other network, of this machine or of Docker. */
  async #create(): Promise<Docker.NetworkInspectInfo> {
    const { ask } = this.#engine
    const candidates = candidatesFor(this.name, await reachedFromHere()).slice(0, TRIES)
    for (const subnet of candidates) {
      const made = await ask(docker => docker.createNetwork(this.#specification(subnet))).then(
        () => true,
        error => {
          if (OVERLAPS.test(messageOf(error))) return false
          unlessStatus(409)(error) // it was made at the same moment
          return true
        },
      )
      const found = made ? await this.#find() : undefined
      if (found !== undefined) return found
    }
    throw new ShadowError('addresses-full', `no subnet of 10.0.0.0/8 is free for the network "${this.name}"`, {
      hint: 'see what takes them: ip route; docker network ls',
    })
  }

  #specification(subnet: Subnet): Docker.NetworkCreateOptions {
    return {
      Name: this.name,
      Driver: 'bridge',
      CheckDuplicate: true,
      IPAM: { Driver: 'default', Config: [{ Subnet: printSubnet(subnet) }] },
      Labels: { shadow: 'network', [LABEL_SUBNET]: 'chosen', [LABEL_NODE]: this.#node },
      Options: { 'com.docker.network.bridge.enable_icc': 'false' }, // apps do not reach one another behind the front
    }
  }
}

/** Whether Docker has two networks of one name. */
export const isAmbiguous = (error: unknown): boolean => /network \S+ is ambiguous/.test(messageOf(error))

/** Says that Docker did not choose the subnet. */
const LABEL_SUBNET = 'shadow.subnet'

/** Docker names a bridge by the network's id, unless the network has an option for the name. */
const bridgeOf = ({ Id, Options }: Docker.NetworkInspectInfo): string =>
  Options?.['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`
