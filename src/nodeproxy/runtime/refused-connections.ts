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
  async forget(ip: string, bridge: string | undefined): Promise<void> {
    if (!this.#instances.delete(ip) || bridge === undefined) return
    await writeFile(this.#file(bridge), `-${ip}\n`, { flag: 'r+' }).catch(() => undefined) // the kernel has no such list
  }

  /** How many attempts of each instance the kernel remembers; it keeps the last twenty or so. Empty where the kernel keeps none. */
  async counts(bridge: string | undefined): Promise<ReadonlyMap<InstanceId, number>> {
    const found = new Map<InstanceId, number>()
    if (bridge === undefined || this.#instances.size === 0) return found
    const text = await readFile(this.#file(bridge), 'utf8').catch(() => '')
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
