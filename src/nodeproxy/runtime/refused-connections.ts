import { readFile, writeFile } from 'node:fs/promises'
import type { AppName } from '../../model/names.ts'
import { refusedListOf } from './firewall-rules.ts'

const FOLDER = '/proc/net/xt_recent'

/** What the packet filter has refused to each app: attempts to connect to other apps, and to private networks (xt_recent, iptables-extensions(8)). */
export class RefusedConnections {
  readonly #apps = new Map<string, AppName>()
  readonly #folder: string

  constructor(folder = FOLDER) {
    this.#folder = folder
  }

  /** From now on the address is that of the app's container. */
  belongs(ip: string, app: AppName): void {
    this.#apps.set(ip, app)
  }

  /** The container has gone, and what was counted for its address goes with it. */
  async forget(ip: string, bridge: string | undefined): Promise<void> {
    if (!this.#apps.delete(ip) || bridge === undefined) return
    await writeFile(this.#file(bridge), `-${ip}\n`, { flag: 'r+' }).catch(() => undefined) // the kernel has no such list
  }

  /** How many attempts of each app the kernel remembers; it keeps the last twenty or so. Empty where the kernel keeps none. */
  async counts(bridge: string | undefined): Promise<ReadonlyMap<AppName, number>> {
    const found = new Map<AppName, number>()
    if (bridge === undefined || this.#apps.size === 0) return found
    const text = await readFile(this.#file(bridge), 'utf8').catch(() => '')
    for (const [, ip = '', stamps = ''] of text.matchAll(/^src=(\S+) .*oldest_pkt: \d+ (.*)$/gm)) {
      const app = this.#apps.get(ip)
      if (app !== undefined) found.set(app, stamps.split(',').length)
    }
    return found
  }

  #file(bridge: string): string {
    return `${this.#folder}/${refusedListOf(bridge)}`
  }
}
