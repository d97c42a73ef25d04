import { access } from 'node:fs/promises'
import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import { CHAIN_PREFIX, chainsOf, type RuleInput, redirectsOf, rulesOf, rulesOfIPv6 } from './firewall-rules.ts'
import type { Subnet } from './subnets.ts'

/** A network of apps by its name: its bridge, the machine's own address in it, and the range of its addresses. */
export type BridgeAt = {
  readonly network: string
  readonly bridge: string
  readonly gateway: string
  readonly subnet: Subnet
}

/** A table of one of the two packet filters, which have the same commands. */
type Table = {
  readonly command: 'iptables' | 'ip6tables'
  readonly table: 'filter' | 'nat'
  readonly rules: () => string
  /** Which chains of the kernel, or of Docker, lead to chains of ours. */
  readonly jumps: (found: readonly string[]) => readonly (readonly [from: string, to: string])[]
}

type Command = Pick<Table, 'command' | 'table'>

const TABLES: readonly Command[] = [
  { command: 'iptables', table: 'nat' },
  { command: 'iptables', table: 'filter' },
  { command: 'ip6tables', table: 'filter' },
]

/** The rules of one bridge in the packet filters of this machine. */
export class BridgeRules {
  readonly at: BridgeAt
  readonly #exec: Exec
  readonly #log: Log
  /** What each table had when we made it. */
  readonly #made = new Map<string, string>()
  /** Whether this kernel has rules that record refused addresses (xt_recent); true until a try fails. */
  #remembers = true
  /** No rule of ours is in the table `nat`. */
  natIsEmpty = false
  /** Whether the last check found the rules in force, or made them. */
  areInForce = false
  checkedAt = Number.NEGATIVE_INFINITY

  constructor(at: BridgeAt, { exec, log }: { readonly exec: Exec; readonly log: Log }) {
    this.at = at
    this.#exec = exec
    this.#log = log
  }

  /** The next check makes all rules again: what they are made from has changed. */
  outdate(): void {
    this.#made.clear()
  }

  /** Makes sure that the rules are in force. */
  async check(given: Omit<RuleInput, 'bridge' | 'remembers'>): Promise<void> {
    const { bridge } = this.at
    const input = (): RuleInput => ({ ...given, bridge, remembers: this.#remembers })
    const chains = chainsOf(bridge)
    const hasNamed = [...given.apps.values()].some(({ hosts }) => hosts.length > 0)
    if (hasNamed || !this.natIsEmpty) {
      const nat: Table = {
        command: 'iptables',
        table: 'nat',
        rules: () => redirectsOf(input()),
        jumps: () => [['PREROUTING', chains.redirect]],
      }
      await this.#checkTable(nat).catch(cause => {
        if (hasNamed) throw cause
        this.#log.debug('rules of an earlier run not looked for in the table nat', { cause }) // this kernel has none
      })
      this.natIsEmpty = !hasNamed
    }
    const jumps = (found: readonly string[]) =>
      [
        ['INPUT', chains.input],
        // Docker keeps DOCKER-USER for others, before all of its own rules, also when it is started again.
        [found.some(rule => rule === '-N DOCKER-USER') ? 'DOCKER-USER' : 'FORWARD', chains.forward],
      ] as const
    await this.#checkTable({ command: 'iptables', table: 'filter', rules: () => rulesOf(input()), jumps })
    // Where there is no IPv6 there is nothing to be kept from.
    if (await hasIPv6())
      await this.#checkTable({ command: 'ip6tables', table: 'filter', rules: () => rulesOfIPv6(bridge), jumps })
    this.areInForce = true
  }

  /** Removes the rules: the bridge is gone. Those of other bridges that are gone go with them. */
  async remove(): Promise<void> {
    this.areInForce = false
    for (const at of TABLES) {
      if (at.command === 'ip6tables' && !(await hasIPv6())) continue
      // This kernel may have no such table.
      await this.#rulesNow(at).then(
        found => this.#removeStale(at, found),
        cause => this.#log.debug('rules of a bridge that is gone not looked for', { cause }),
      )
    }
  }

  async #checkTable(table: Table): Promise<void> {
    const { bridge } = this.at
    const key = `${table.command} ${table.table}`
    const found = await this.#rulesNow(table)
    const wanted = this.#made.get(key)
    if (wanted !== undefined && ours(found, bridge) === wanted) return
    if (wanted !== undefined) this.#log.warn('packet filter rules were changed, and are made again', { bridge })
    await this.#removeStale(table, found)
    await this.#restore(table)
    for (const [from, to] of table.jumps(found))
      if (!found.some(rule => rule.startsWith(`-A ${from} `) && rule.endsWith(` -j ${to}`)))
        await this.#exec(table.command, ['--wait', '5', '-t', table.table, '-I', from, '1', '-i', bridge, '-j', to])
    this.#made.set(key, ours(await this.#rulesNow(table), bridge))
  }

  async #restore({ command, rules }: Table): Promise<void> {
    const script = 'printf %s "$2" | "$1-restore" --wait 5 --noflush'
    const restore = (): Promise<unknown> => this.#exec('/bin/sh', ['-c', script, 'sh', command, rules()])
    await restore().catch(error => {
      if (!this.#remembers) throw error
      // Perhaps a kernel without xt_recent: the rules matter, and what they remember is only a help.
      this.#remembers = false
      return restore().catch(cause => {
        this.#remembers = true // it was something else
        throw cause
      })
    })
  }

  /** Removes the chains of bridges that are gone. */
  async #removeStale({ command, table }: Command, found: readonly string[]): Promise<void> {
    const chains = found.flatMap(rule => (rule.startsWith(`-N ${CHAIN_PREFIX}`) ? [rule.slice(3)] : []))
    for (const chain of chains) {
      if (await isHere(chain.slice(CHAIN_PREFIX.length + 2))) continue
      const remove = (...args: readonly string[]): Promise<unknown> =>
        this.#exec(command, ['--wait', '5', '-t', table, ...args]).catch(() => undefined) // another node of this machine does the same just now
      for (const rule of found) if (rule.endsWith(` -j ${chain}`)) await remove('-D', ...rule.slice(3).split(' '))
      await remove('-F', chain)
      await remove('-X', chain)
    }
  }

  async #rulesNow({ command, table }: Command): Promise<readonly string[]> {
    return (await this.#exec(command, ['--wait', '5', '-t', table, '-S'])).split('\n')
  }
}

/** The rules of the bridge among all, as one text to compare. */
function ours(rules: readonly string[], bridge: string): string {
  const own: readonly string[] = Object.values(chainsOf(bridge))
  return rules.filter(rule => rule.split(' ').some(word => own.includes(word))).join('\n')
}

/** Whether this machine has the link. */
export const isHere = (link: string): Promise<boolean> => isThere(`/sys/class/net/${link}`)
const hasIPv6 = (): Promise<boolean> => isThere('/proc/net/if_inet6')
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
