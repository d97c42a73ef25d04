import { access } from 'node:fs/promises'
import { ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import { destinationsOf, type Egress } from '../../model/egress.ts'
import { linksOf, type Member } from './companion-names.ts'
import { CHAIN_PREFIX, chainsOf, rulesOf, rulesOfIPv6 } from './firewall-rules.ts'
import { nameServers } from './name-servers.ts'

export const EGRESS_MODES = ['on', 'warn', 'off'] as const
/** Whether apps are kept from the host and the private networks: always, or where that can be done, or not. */
export type EgressMode = (typeof EGRESS_MODES)[number]

const RECENT_MS = 5_000

type Options = {
  readonly exec: Exec
  readonly log: Log
  readonly mode: EgressMode
  readonly frontPorts: readonly number[]
}

/** One of the two packet filters, which have the same commands. */
type Family = { readonly command: 'iptables' | 'ip6tables'; readonly rules: (bridge: string) => string }

/**
 * Keeps apps from this machine and the private networks around it, by rules of iptables in chains of our own. They apply only to packets
 * from our bridge, and are removed when the bridge is gone. If somebody flushes them, the next check makes them again.
 */
export class Firewall {
  readonly #options: Options
  readonly #mutex = new Mutex()
  readonly #apps = new Map<string, readonly Egress[]>()
  /** The containers that have an address, by it. */
  readonly #members = new Map<string, Member>()
  readonly #made = new Map<string, string>()
  #frontPorts: readonly number[]
  #bridge: string | undefined
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
    return this.#bridge
  }

  /**
   * Makes sure that the rules of the bridge are in force; fails with `egress-open` unless only a warning is wanted. With `recently` a
   * check within RECENT_MS is enough, so that many starts of containers at once cost one check.
   */
  ensure(bridge: string, { recently = false } = {}): Promise<void> {
    if (recently && bridge === this.#bridge && performance.now() - this.#checkedAt < RECENT_MS) return Promise.resolve()
    return this.#guarded(async () => {
      this.#bridge = bridge
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

  /** There is no app at the address any more. */
  forget(ip: string): Promise<void> {
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
      const problem = notMade(cause)
      if (mode === 'on') throw problem
      if (!this.#hasWarned) log.warn('apps are not kept from the host and private networks', { cause: problem })
      this.#hasWarned = true
    }
  }

  async #check(): Promise<void> {
    const bridge = this.#bridge
    if (bridge === undefined) return
    if (!(await isHere(bridge))) {
      // Docker runs on another machine, or in a network namespace of its own.
      if (!this.#hasWarned) this.#options.log.warn('the bridge of the apps is not on this machine', { bridge })
      this.#hasWarned = true
      return
    }
    const servers = await nameServers()
    const rules = () =>
      rulesOf({
        bridge,
        nameServers: servers,
        frontPorts: this.#frontPorts,
        remembers: this.#remembers,
        links: linksOf(this.#members),
        apps: new Map([...this.#apps].map(([ip, list]) => [ip, destinationsOf(list)])),
      })
    await this.#checkFamily({ command: 'iptables', rules }, bridge)
    // Where there is no IPv6 there is nothing to be kept from.
    if (await hasIPv6()) await this.#checkFamily({ command: 'ip6tables', rules: rulesOfIPv6 }, bridge)
  }

  async #checkFamily({ command, rules }: Family, bridge: string): Promise<void> {
    const key = `${command} ${bridge}`
    const found = await this.#rulesNow(command)
    const wanted = this.#made.get(key)
    if (wanted !== undefined && ours(found, bridge) === wanted) return
    if (wanted !== undefined) this.#options.log.warn('packet filter rules were changed, and are made again', { bridge })
    await this.#removeStale(command, found)
    const { exec } = this.#options
    const restore = (): Promise<unknown> =>
      exec('/bin/sh', ['-c', 'printf %s "$2" | "$1-restore" --wait 5 --noflush', 'sh', command, rules(bridge)])
    await restore().catch(error => {
      if (!this.#remembers) throw error
      // Perhaps a kernel without xt_recent: the rules matter, and what they remember is only a help.
      this.#remembers = false
      return restore().catch(cause => {
        this.#remembers = true // it was something else
        throw cause
      })
    })
    const { input, forward } = chainsOf(bridge)
    // Docker keeps DOCKER-USER for others, before all of its own rules, also when it is started again.
    const before = found.some(rule => rule === '-N DOCKER-USER') ? 'DOCKER-USER' : 'FORWARD'
    for (const [chain, to] of [
      ['INPUT', input],
      [before, forward],
    ] as const)
      if (!found.some(rule => rule.startsWith(`-A ${chain} `) && rule.endsWith(` -j ${to}`)))
        await exec(command, ['--wait', '5', '-I', chain, '1', '-i', bridge, '-j', to])
    this.#made.set(key, ours(await this.#rulesNow(command), bridge))
  }

  /** Removes the chains of bridges that are gone. */
  async #removeStale(command: Family['command'], found: readonly string[]): Promise<void> {
    const { exec } = this.#options
    const chains = found.flatMap(rule => (rule.startsWith(`-N ${CHAIN_PREFIX}`) ? [rule.slice(3)] : []))
    for (const chain of chains) {
      if (await isHere(chain.slice(CHAIN_PREFIX.length + 2))) continue
      const remove = (...args: readonly string[]): Promise<unknown> =>
        exec(command, ['--wait', '5', ...args]).catch(() => undefined) // another node of this machine does the same just now
      for (const rule of found) if (rule.endsWith(` -j ${chain}`)) await remove('-D', ...rule.slice(3).split(' '))
      await remove('-F', chain)
      await remove('-X', chain)
    }
  }

  async #rulesNow(command: Family['command']): Promise<readonly string[]> {
    return (await this.#options.exec(command, ['--wait', '5', '-S'])).split('\n')
  }
}

/** The rules of the bridge among all, as one text to compare. */
function ours(rules: readonly string[], bridge: string): string {
  const { input, forward } = chainsOf(bridge)
  return rules.filter(rule => rule.split(' ').some(word => word === input || word === forward)).join('\n')
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
