import { access } from 'node:fs/promises'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import { destinationsOf, type Egress, namesDomains } from '../../model/egress.ts'
import type { AppName } from '../../model/names.ts'
import type { WireCredential } from '../../model/wire.ts'
import { linksOf, type Member } from './companion-names.ts'
import { CHAIN_PREFIX, chainsOf, type RuleInput, redirectsOf, rulesOf, rulesOfIPv6 } from './firewall-rules.ts'
import { nameServers } from './name-servers.ts'
import type { NamedEgress, Redirects } from './named-egress.ts'

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

/** A network of apps: its bridge, and the machine's own address in it. */
export type BridgeAt = { readonly bridge: string; readonly gateway: string }

/** A table of one of the two packet filters, which have the same commands. */
type Table = {
  readonly command: 'iptables' | 'ip6tables'
  readonly table: 'filter' | 'nat'
  readonly rules: () => string
  /** Which chains of the kernel, or of Docker, lead to chains of ours. */
  readonly jumps: (found: readonly string[]) => readonly (readonly [from: string, to: string])[]
}

/**
 * Keeps apps from this machine and the private networks around it, by rules of iptables in chains of our own. They apply only to packets
 * from our bridge, and are removed when the bridge is gone. If somebody flushes them, the next check makes them again.
 */
export class Firewall {
  readonly #options: Options
  readonly #mutex = new Mutex()
  readonly #apps = new Map<string, readonly Egress[]>()
  /** The secrets that requests of apps get, by the address. */
  readonly #wire = new Map<string, readonly WireCredential[]>()
  /** The containers that have an address, by it. */
  readonly #members = new Map<string, Member>()
  readonly #made = new Map<string, string>()
  #frontPorts: readonly number[]
  #at: BridgeAt | undefined
  /** Whether the last check found the rules in force, or made them. */
  #inForce = false
  /** No rule of ours is in the table `nat`. */
  #natIsEmpty = false
  #checkedAt = Number.NEGATIVE_INFINITY
  #hasWarned = false
  /** Whether this kernel has rules that record refused addresses (xt_recent); true until a try fails. */
  #remembers = true

  constructor(options: Options) {
    this.#options = options
    this.#frontPorts = options.frontPorts
  }

  /** The bridge that has the rules; undefined until they were made sure of. */
  get bridge(): string | undefined {
    return this.#at?.bridge
  }

  /**
   * Makes sure that the rules of the bridge are in force; fails with `egress-open` unless only a warning is wanted. With `recently` a
   * check within RECENT_MS is enough, so that many starts of containers at once cost one check.
   */
  ensure(at: BridgeAt, { recently = false } = {}): Promise<void> {
    if (recently && at.bridge === this.bridge && performance.now() - this.#checkedAt < RECENT_MS)
      return Promise.resolve()
    return this.#guarded(async () => {
      this.#at = at
      await this.#check()
      this.#checkedAt = performance.now()
    })
  }

  /** Sets what the app at the address may reach; an empty list is the default. The apps that it uses, and those that use it, are linked to it. */
  allow(ip: string, list: readonly Egress[], member?: Member): Promise<void> {
    const before = this.#rulesOfApps()
    if (list.length === 0) this.#apps.delete(ip)
    else this.#apps.set(ip, list)
    if (member === undefined) this.#members.delete(ip)
    else this.#members.set(ip, member)
    return this.#rulesOfApps() === before ? Promise.resolve() : this.#remake()
  }

  /** The apps that the one at the address uses. */
  usesOf(ip: string): readonly AppName[] {
    return this.#members.get(ip)?.uses ?? []
  }

  /** Whether the container of another app uses this one. */
  isUsed(app: AppName): boolean {
    return [...this.#members.values()].some(({ uses }) => uses.includes(app))
  }

  /** Whether an app with this list is kept to it. */
  holds(list: readonly Egress[] = []): boolean {
    return !namesDomains(list) || (this.#inForce && this.#options.named !== undefined)
  }

  /** Fails with `egress-open` if an app with this list cannot be kept to it: only the packet filter leads it to what knows names. */
  mustHold(list: readonly Egress[] = []): void {
    if (this.holds(list)) return
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

  #remake(): Promise<void> {
    return this.#guarded(async () => {
      this.#made.clear()
      await this.#check()
    })
  }

  async #guarded(action: () => Promise<void>): Promise<void> {
    const { mode, log } = this.#options
    if (mode === 'off') return
    try {
      await this.#mutex.take(action)
    } catch (cause) {
      this.#inForce = false
      const problem = notMade(cause)
      if (mode === 'on') throw problem
      if (!this.#hasWarned) log.warn('apps are not kept from the host and private networks', { cause: problem })
      this.#hasWarned = true
    }
  }

  async #check(): Promise<void> {
    const { log } = this.#options
    if (this.#at === undefined) return
    const { bridge } = this.#at
    if (!(await isHere(bridge))) {
      // Docker runs on another machine, or in a network namespace of its own.
      this.#inForce = false
      if (!this.#hasWarned) log.warn('the bridge of the apps is not on this machine', { bridge })
      this.#hasWarned = true
      return
    }
    const apps = new Map([...this.#apps].map(([ip, list]) => [ip, destinationsOf(list)]))
    const hasNamed = [...apps.values()].some(({ hosts }) => hosts.length > 0)
    const redirects = await this.#served(this.#at, apps)
    const servers = await nameServers()
    const input = (): RuleInput => ({
      bridge,
      nameServers: servers,
      frontPorts: this.#frontPorts,
      remembers: this.#remembers,
      links: linksOf(this.#members),
      apps,
      redirects,
    })
    const chains = chainsOf(bridge)
    if (hasNamed || !this.#natIsEmpty) {
      const nat: Table = {
        command: 'iptables',
        table: 'nat',
        rules: () => redirectsOf(input()),
        jumps: () => [['PREROUTING', chains.redirect]],
      }
      await this.#checkTable(nat, bridge).catch(cause => {
        if (hasNamed) throw cause
        log.debug('rules of an earlier run not looked for in the table nat', { cause }) // this kernel has none
      })
      this.#natIsEmpty = !hasNamed
    }
    const jumps = (found: readonly string[]) =>
      [
        ['INPUT', chains.input],
        // Docker keeps DOCKER-USER for others, before all of its own rules, also when it is started again.
        [found.some(rule => rule === '-N DOCKER-USER') ? 'DOCKER-USER' : 'FORWARD', chains.forward],
      ] as const
    await this.#checkTable({ command: 'iptables', table: 'filter', rules: () => rulesOf(input()), jumps }, bridge)
    // Where there is no IPv6 there is nothing to be kept from.
    if (await hasIPv6())
      await this.#checkTable({ command: 'ip6tables', table: 'filter', rules: () => rulesOfIPv6(bridge), jumps }, bridge)
    this.#inForce = true
  }

  /** Has the apps served that reach hosts by their names; undefined: there are none. */
  async #served({ gateway }: BridgeAt, apps: RuleInput['apps']): Promise<Redirects | undefined> {
    const { named } = this.#options
    const served = new Map(
      [...apps].flatMap(([ip, app]) =>
        app.hosts.length > 0 ? [[ip, { ...app, wire: this.#wire.get(ip) ?? [] }] as const] : [],
      ),
    )
    if (named === undefined || (served.size === 0 && this.#natIsEmpty)) return undefined
    return named.serve(gateway, served, this.#frontPorts)
  }

  async #checkTable({ command, table, rules, jumps }: Table, bridge: string): Promise<void> {
    const key = `${command} ${table} ${bridge}`
    const found = await this.#rulesNow(command, table)
    const wanted = this.#made.get(key)
    if (wanted !== undefined && ours(found, bridge) === wanted) return
    if (wanted !== undefined) this.#options.log.warn('packet filter rules were changed, and are made again', { bridge })
    await this.#removeStale(command, table, found)
    const { exec } = this.#options
    const restore = (): Promise<unknown> =>
      exec('/bin/sh', ['-c', 'printf %s "$2" | "$1-restore" --wait 5 --noflush', 'sh', command, rules()])
    await restore().catch(error => {
      if (!this.#remembers) throw error
      // Perhaps a kernel without xt_recent: the rules matter, and what they remember is only a help.
      this.#remembers = false
      return restore().catch(cause => {
        this.#remembers = true // it was something else
        throw cause
      })
    })
    for (const [from, to] of jumps(found))
      if (!found.some(rule => rule.startsWith(`-A ${from} `) && rule.endsWith(` -j ${to}`)))
        await exec(command, ['--wait', '5', '-t', table, '-I', from, '1', '-i', bridge, '-j', to])
    this.#made.set(key, ours(await this.#rulesNow(command, table), bridge))
  }

  /** Removes the chains of bridges that are gone. */
  async #removeStale(command: Table['command'], table: Table['table'], found: readonly string[]): Promise<void> {
    const { exec } = this.#options
    const chains = found.flatMap(rule => (rule.startsWith(`-N ${CHAIN_PREFIX}`) ? [rule.slice(3)] : []))
    for (const chain of chains) {
      if (await isHere(chain.slice(CHAIN_PREFIX.length + 2))) continue
      const remove = (...args: readonly string[]): Promise<unknown> =>
        exec(command, ['--wait', '5', '-t', table, ...args]).catch(() => undefined) // another node of this machine does the same just now
      for (const rule of found) if (rule.endsWith(` -j ${chain}`)) await remove('-D', ...rule.slice(3).split(' '))
      await remove('-F', chain)
      await remove('-X', chain)
    }
  }

  async #rulesNow(command: Table['command'], table: Table['table']): Promise<readonly string[]> {
    return (await this.#options.exec(command, ['--wait', '5', '-t', table, '-S'])).split('\n')
  }
}

/** The rules of the bridge among all, as one text to compare. */
function ours(rules: readonly string[], bridge: string): string {
  const own: readonly string[] = Object.values(chainsOf(bridge))
  return rules.filter(rule => rule.split(' ').some(word => own.includes(word))).join('\n')
}

const isHere = (link: string): Promise<boolean> => isThere(`/sys/class/net/${link}`)
const hasIPv6 = (): Promise<boolean> => isThere('/proc/net/if_inet6')
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

function notMade(cause: unknown): ShadowError {
  const output = cause instanceof ExecError ? cause.stderr.trim() || cause.message : String(cause)
  return new ShadowError(
    'egress-open',
    `apps cannot be kept from this machine and the private networks around it: ${output}`,
    { cause, hint: 'install iptables; or run apps that may reach all of it: SHADOW_EGRESS=warn' },
  )
}
