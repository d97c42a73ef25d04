import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import { Machine } from './machine.ts'
import { endAll, type First, namespaces, onNetworkOf } from './namespaces.ts'

const ip = (...args: string[]) => promisify(execFile)('ip', args)
const BRIDGE = 'lan'
const BITS = 24
const OWN = 254

/**
 * A network of made-up machines: a bridge in a namespace of its own, where no packet filter of the real machine interferes. The real
 * machine has a link to it. All of it is held by processes that end with the test, so nothing is left when a test is killed.
 */
export class Lan implements AsyncDisposable {
  /** 198.18.0.0/15 is for tests of networks (RFC 2544). */
  readonly #subnet = unusedSubnet()
  readonly #id = randomBytes(3).toString('hex')
  readonly #link = `fleet-${this.#id}`
  readonly #folder: string
  readonly #bridge: First
  readonly #machines: Machine[] = []
  #addresses = 0

  private constructor(folder: string, bridge: First) {
    this.#folder = folder
    this.#bridge = bridge
  }

  /** The folder is for the machines; whoever gives it removes it. */
  static async start(folder: string): Promise<Lan> {
    const lan = new Lan(folder, await namespaces(`ip link add ${BRIDGE} type bridge; ip link set ${BRIDGE} up`))
    try {
      await ip('link', 'add', lan.#link, 'type', 'veth', 'peer', 'name', 'here', 'netns', String(lan.#bridge.pid))
      await lan.#onBridge('link', 'set', 'dev', 'here', 'master', BRIDGE, 'up')
      await ip('address', 'add', `${lan.address}/${BITS}`, 'dev', lan.#link)
      await ip('link', 'set', lan.#link, 'up')
      return lan
    } catch (error) {
      await lan[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The address of the real machine. */
  get address(): string {
    return `${this.#subnet}.${OWN}`
  }

  /** Adds a machine that runs. */
  async machine(name: string): Promise<Machine> {
    const address = `${this.#subnet}.${++this.#addresses}`
    const bridge = String(this.#bridge.pid)
    const machine = await Machine.boot({
      name,
      address,
      folder: `${this.#folder}/${name}`,
      group: `shadow-fleet-${this.#id}-${name}`,
      plug: async pid => {
        // The kernel removes the network of a machine that has lost its power some time later.
        await this.#onBridge('link', 'delete', 'dev', name).catch(() => undefined)
        const link = ['link', 'add', 'eth0', 'netns', String(pid), 'type', 'veth']
        await ip(...link, 'peer', 'name', name, 'netns', bridge)
        await this.#onBridge('link', 'set', 'dev', name, 'master', BRIDGE, 'up')
        await onNetworkOf(pid, 'ip', 'address', 'add', `${address}/${BITS}`, 'dev', 'eth0')
        await onNetworkOf(pid, 'ip', 'link', 'set', 'eth0', 'up')
      },
      cable: connected =>
        this.#onBridge('link', 'set', 'dev', name, ...(connected ? ['master', BRIDGE] : ['nomaster'])),
    })
    this.#machines.push(machine)
    return machine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#machines.map(machine => machine[Symbol.asyncDispose]()))
    await ip('link', 'delete', this.#link).catch(() => undefined) // it was never made
    await endAll(this.#bridge)
  }

  #onBridge(...args: string[]): Promise<void> {
    return onNetworkOf(this.#bridge.pid, 'ip', ...args).then()
  }
}

function unusedSubnet(): string {
  const used = Object.values(networkInterfaces()).flatMap(links => links?.map(({ address }) => address) ?? [])
  for (;;) {
    const subnet = `198.${randomInt(18, 20)}.${randomInt(256)}`
    if (!used.some(address => address.startsWith(`${subnet}.`))) return subnet
  }
}
