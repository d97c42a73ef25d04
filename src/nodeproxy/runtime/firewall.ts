import { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import { destinationsOf, type Egress, namesDomains } from '../../model/egress.ts'
import type { AppName } from '../../model/names.ts'
import type { WireCredential } from '../../model/wire.ts'
import { type BridgeAt, BridgeRules, isHere } from './bridge-rules.ts'
import { linksOf, type Member } from './companion-names.ts'
import type { RuleInput } from './firewall-rules.ts'
import { nameServers } from './name-servers.ts'
import type { NamedEgress, Redirects } from './named-egress.ts'
import { isIn, printSubnet } from './subnets.ts'

export const EGRESS_MODES = ['on', 'warn', 'off'] as const
/** Whether apps are kept from the host and the private networks: always, or where that can be done, or not. */
export type EgressMode = (typeof EGRESS_MODES)[number]

const RECENT_MS = 5_000

type Options = {
  readonly exec: Exec
  readonly log: Log
  readonly mode: EgressMode
  readonly frontPorts: readonly number[]
  /** Serves apps whose definition names domains; left out: such apps are not run. */
  readonly named?: NamedEgress | undefined
}

/**
 * Keeps apps from this machine and the private networks around it, and from one another, by rules of iptables in chains of our own. They apply only to
 * packets from our bridges, and are removed when the bridge is gone. If somebody flushes them, the next check makes them again.
 */
export class Firewall {
  readonly #options: Options
  readonly #mutex = new Mutex()
  readonly #apps = new Map<string, readonly Egress[]>()
  /** The secrets that requests of apps get, by the address. */
  readonly #wire = new Map<string, readonly WireCredential[]>()
  /** The containers that have an address, by it. */
  readonly #members = new Map<string, Member>()
  /** The rules of the bridges of our networks, by the name of the network. */
  readonly #bridges = new Map<string, BridgeRules>()
  #frontPorts: readonly number[]
  #hasWarned = false

  constructor(options: Options) {
    this.#options = options
    this.#frontPorts = options.frontPorts
  }

  /** The bridges that have rules. */
  get bridges(): readonly string[] {
    return [...this.#bridges.values()].map(({ at }) => at.bridge)
  }

  /**
   * Makes sure that the rules of the bridge are in force; fails with `egress-open` unless only a warning is wanted. With `recently` a
   * check within RECENT_MS is enough, so that many starts of containers at once cost one check.
   */
  ensure(at: BridgeAt, { recently = false }: { readonly recently?: boolean } = {}): Promise<void> {
    const known = this.#bridges.get(at.network)
    const isRecent = known?.at.bridge === at.bridge && performance.now() - known.checkedAt < RECENT_MS
    return recently && isRecent ? Promise.resolve() : this.#ensure(at, [at])
  }

  /** The same for all bridges that are there. No app reaches any of these networks from the moment on in which the first rules are made. */
  async ensureAll(all: readonly BridgeAt[]): Promise<void> {
    for (const at of all) await this.#ensure(at, all)
  }

  #ensure(at: BridgeAt, all: readonly BridgeAt[]): Promise<void> {
    return this.#guarded(at.network, async () => {
      await this.#learn(all)
      const rules = this.#bridges.get(at.network)
      if (rules === undefined) return
      await this.#check(rules)
      rules.checkedAt = performance.now()
    })
  }

  /** The network is gone, and its rules go too. */
  drop(network: string): Promise<void> {
    return this.#guarded(network, async () => {
      const rules = this.#bridges.get(network)
      if (rules === undefined) return
      this.#bridges.delete(network)
      await this.#options.named?.leave(rules.at.gateway)
      await rules.remove()
      for (const other of this.#bridges.values()) other.outdate()
    })
  }

  /** If one of the bridges is new, the rules of those that are known are made again first: no app may reach that network. */
  async #learn(all: readonly BridgeAt[]): Promise<void> {
    const fresh = all.filter(at => !isSame(this.#bridges.get(at.network)?.at, at))
    if (fresh.length === 0) return
    const known = [...this.#bridges.values()].filter(({ at }) => !fresh.some(({ network }) => network === at.network))
    for (const at of fresh) {
      const before = this.#bridges.get(at.network)?.at
      if (before !== undefined && before.gateway !== at.gateway) await this.#options.named?.leave(before.gateway)
      this.#bridges.set(at.network, new BridgeRules(at, this.#options))
    }
    try {
      for (const rules of known) {
        rules.outdate()
        await this.#check(rules)
      }
    } catch (error) {
      for (const { network } of fresh) this.#bridges.delete(network) // the next try begins again
      throw error
    }
  }

  /** Sets what the app at the address may reach; an empty list is the default. The apps that it uses, and those that use it, are linked to it. */
  allow(ip: string, list: readonly Egress[], member?: Member): Promise<void> {
    const before = this.#rulesOfApps()
    if (list.length === 0) this.#apps.delete(ip)
    else this.#apps.set(ip, list)
    if (member === undefined) this.#members.delete(ip)
    else this.#members.set(ip, member)
    return this.#rulesOfApps() === before ? Promise.resolve() : this.#remake(rules => isIn(rules.at.subnet, ip))
  }

  /** The addresses of the containers of an app. */
  addressesOf(app: AppName): readonly string[] {
    return [...this.#members].flatMap(([ip, member]) => (member.app === app ? [ip] : []))
  }

  /** The apps that the one at the address uses. */
  usesOf(ip: string): readonly AppName[] {
    return this.#members.get(ip)?.uses ?? []
  }

  /** Whether the container of another app uses this one. */
  isUsed(app: AppName): boolean {
    return [...this.#members.values()].some(({ uses }) => uses.includes(app))
  }

  /** Whether an app with this list on the network is kept to it. */
  holds(network: string, list: readonly Egress[] = []): boolean {
    if (!namesDomains(list)) return true
    return this.#bridges.get(network)?.areInForce === true && this.#options.named !== undefined
  }

  /** Fails with `egress-open` if an app with this list cannot be kept to it: only the packet filter leads it to what knows names. */
  mustHold(network: string, list: readonly Egress[] = []): void {
    if (this.holds(network, list)) return
    throw new ShadowError(
      'egress-open',
      'an app whose egress names domains is led to them by rules of the packet filter, and this node makes none',
      { hint: 'SHADOW_EGRESS=on of the node, with iptables and the Docker of the same machine' },
    )
  }

  /** From the next call of `allow` for the address on, requests of the app get these secrets. */
  credentials(ip: string, wire: readonly WireCredential[]): void {
    if (wire.length === 0) this.#wire.delete(ip)
    else this.#wire.set(ip, wire)
  }

  /** The app at the address gets another one, where it may reach the same. */
  async move(from: string, to: string): Promise<void> {
    const [list = [], member, wire = []] = [this.#apps.get(from), this.#members.get(from), this.#wire.get(from)]
    await this.forget(from)
    this.credentials(to, wire)
    await this.allow(to, list, member)
  }

  /** There is no app at the address any more. */
  forget(ip: string): Promise<void> {
    this.#wire.delete(ip)
    return this.allow(ip, [])
  }

  #rulesOfApps(): string {
    return JSON.stringify([[...this.#apps], linksOf(this.#members)])
  }

  /** Ports of this machine that every app may reach, because a front listens there. */
  openPorts(ports: readonly number[]): Promise<void> {
    this.#frontPorts = [...new Set([...this.#options.frontPorts, ...ports])]
    return this.#remake()
  }

  async #remake(which: (rules: BridgeRules) => boolean = () => true): Promise<void> {
    for (const [network, rules] of [...this.#bridges]) {
      if (!which(rules)) continue
      await this.#guarded(network, async () => {
        rules.outdate()
        if (this.#bridges.get(network) === rules) await this.#check(rules)
      })
    }
  }

  async #guarded(network: string, action: () => Promise<void>): Promise<void> {
    const { mode, log } = this.#options
    if (mode === 'off') return
    try {
      await this.#mutex.take(action)
    } catch (cause) {
      const rules = this.#bridges.get(network)
      if (rules !== undefined) rules.areInForce = false
      const problem = notMade(cause)
      if (mode === 'on') throw problem
      if (!this.#hasWarned) log.warn('apps are not kept from the host and private networks', { cause: problem })
      this.#hasWarned = true
    }
  }

  async #check(rules: BridgeRules): Promise<void> {
    const { log } = this.#options
    const { bridge, subnet } = rules.at
    if (!(await isHere(bridge))) {
      // Docker runs on another machine, or in a network namespace of its own.
      rules.areInForce = false
      if (!this.#hasWarned) log.warn('the bridge of the apps is not on this machine', { bridge })
      this.#hasWarned = true
      return
    }
    const apps = new Map(
      [...this.#apps].flatMap(([ip, list]) => (isIn(subnet, ip) ? [[ip, destinationsOf(list)] as const] : [])),
    )
    await rules.check({
      nameServers: await nameServers(),
      frontPorts: this.#frontPorts,
      networks: [...this.#bridges.values()].map(one => printSubnet(one.at.subnet)),
      links: linksOf(this.#members).filter(link => link.every(ip => isIn(subnet, ip))),
      apps,
      redirects: await this.#served(rules, apps),
    })
  }

  /** Has the apps served that reach hosts by their names; undefined: there are none. */
  async #served({ at, natIsEmpty }: BridgeRules, apps: RuleInput['apps']): Promise<Redirects | undefined> {
    const { named } = this.#options
    const served = new Map(
      [...apps].flatMap(([ip, app]) =>
        app.hosts.length > 0 ? [[ip, { ...app, wire: this.#wire.get(ip) ?? [] }] as const] : [],
      ),
    )
    if (named === undefined || (served.size === 0 && natIsEmpty)) return undefined
    return named.serve(at.gateway, served, this.#frontPorts)
  }
}

const isSame = (one: BridgeAt | undefined, other: BridgeAt): boolean =>
  one?.bridge === other.bridge && one.gateway === other.gateway

function notMade(cause: unknown): ShadowError {
  const output = cause instanceof ExecError ? cause.stderr.trim() || cause.message : String(cause)
  return new ShadowError(
    'egress-open',
    `apps cannot be kept from this machine and the private networks around it: ${output}`,
    { cause, hint: 'install iptables; or run apps that may reach all of it: SHADOW_EGRESS=warn' },
  )
}
