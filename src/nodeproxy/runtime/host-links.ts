import { readdir, readFile, writeFile } from 'node:fs/promises'

/** Where the kernel has its links, and their settings of IPv6. */
type Folders = { readonly net: string; readonly conf: string }

/**
 * The bridge and the host's end of each container's link, without IPv6. The kernel gives a new link a link-local address some
 * 1.5 s after it came up, and browsers on this machine break their requests when an address changes (ERR_NETWORK_CHANGED).
 * Apps have no IPv6, so nothing uses these addresses.
 */
export class HostLinks {
  readonly #folders: Folders
  /** The links that were looked at, by their names. */
  #done: ReadonlySet<string> = new Set()

  constructor(folders: Folders = { net: '/sys/class/net', conf: '/proc/sys/net/ipv6/conf' }) {
    this.#folders = folders
  }

  /** Takes it off links that came since the last call. If the bridge is on another machine, there is nothing to do. */
  async takeIPv6Off(bridge: string): Promise<void> {
    const links = await readdir(`${this.#folders.net}/${bridge}/brif`).catch(() => undefined)
    if (links === undefined) return
    const all = [bridge, ...links]
    const fresh = all.filter(link => !this.#done.has(link))
    this.#done = new Set(all)
    await Promise.all(fresh.map(link => this.#takeOff(link)))
  }

  async #takeOff(link: string): Promise<void> {
    const setting = `${this.#folders.conf}/${link}/disable_ipv6`
    // A link that has gone meanwhile, or a machine without IPv6, needs nothing.
    const now = await readFile(setting, 'utf8').catch(() => '1')
    if (now.trim() === '0') await writeFile(setting, '1').catch(() => undefined)
  }
}
