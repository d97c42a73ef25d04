import { readFile, writeFile } from 'node:fs/promises'
import type { InstanceId } from '../../model/instance-id.ts'
import { refusedListOf } from './firewall-rules.ts'

const FOLDER = '/proc/net/xt_recent'

/** What the packet filter has refused to each instance: attempts to connect to other apps, and to private networks (xt_recent, iptables-extensions(8)). */
export class RefusedConnections {
  readonly #instances = new Map<string, InstanceId>()
  readonly #folder: string

  constructor(folder = FOLDER) {
    this.#folder = folder
  }

  /** From now on the address is that of the instance's container. */
  belongs(ip: string, instance: InstanceId): void {
    this.#instances.set(ip, instance)
  }

  /** What is known of the addresses of each instance; instances of which nothing is known are left out. */
  byInstance<T>(of: (ip: string) => readonly T[]): ReadonlyMap<InstanceId, readonly T[]> {
    const found = new Map<InstanceId, readonly T[]>()
    for (const [ip, instance] of this.#instances) {
      const known = of(ip)
      if (known.length > 0) found.set(instance, [...(found.get(instance) ?? []), ...known])
    }
    return found
  }

  /** The container has gone, and what was counted for its address goes with it. */
  async forget(ip: string, bridges: readonly string[]): Promise<void> {
    if (!this.#instances.delete(ip)) return
    // The kernel may have no such list. It is on the list of its own bridge alone.
    for (const bridge of bridges) await writeFile(this.#file(bridge), `-${ip}\n`, { flag: 'r+' }).catch(() => undefined)
  }

  /** How many attempts of each instance the kernel remembers; it keeps the last twenty or so. Empty where the kernel keeps none. */
  async counts(bridges: readonly string[]): Promise<ReadonlyMap<InstanceId, number>> {
    const found = new Map<InstanceId, number>()
    if (this.#instances.size === 0) return found
    const lists = await Promise.all(bridges.map(bridge => readFile(this.#file(bridge), 'utf8').catch(() => '')))
    const text = lists.join('\n')
    for (const [, ip = '', stamps = ''] of text.matchAll(/^src=(\S+) .*oldest_pkt: \d+ (.*)$/gm)) {
      const instance = this.#instances.get(ip)
      if (instance !== undefined) found.set(instance, (found.get(instance) ?? 0) + stamps.split(',').length)
    }
    return found
  }

  #file(bridge: string): string {
    return `${this.#folder}/${refusedListOf(bridge)}`
  }
}
