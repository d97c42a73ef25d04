import { readdir, readFile, writeFile } from 'node:fs/promises'

/**
 * Takes IPv6 off the bridge and off the host's end of each container's link. The kernel gives a new link a link-local address some
 * 1.5 s after it came up, and browsers on this machine break their requests when an address changes (ERR_NETWORK_CHANGED).
 * Apps have no IPv6, so nothing uses these addresses. If the bridge is on another machine, there is nothing to do.
 */
export async function takeIPv6Off(bridge: string): Promise<void> {
  const links = await readdir(`/sys/class/net/${bridge}/brif`).catch(() => undefined)
  if (links === undefined) return
  await Promise.all([bridge, ...links].map(takeOff))
}

async function takeOff(link: string): Promise<void> {
  const setting = `/proc/sys/net/ipv6/conf/${link}/disable_ipv6`
  // A link that has gone meanwhile, or a machine without IPv6, needs nothing.
  const now = await readFile(setting, 'utf8').catch(() => '1')
  if (now.trim() === '0') await writeFile(setting, '1').catch(() => undefined)
}
