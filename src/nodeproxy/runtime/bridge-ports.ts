import { readdir } from 'node:fs/promises'

/** What a bridge of Linux carries (BR_MAX_PORTS, of which port 0 is no port). */
const MOST_PORTS = 1_023

/** How many more links the bridge takes; undefined if it is not on this machine. */
export async function portsLeft(bridge: string, net = '/sys/class/net'): Promise<number | undefined> {
  const links = await readdir(`${net}/${bridge}/brif`).catch(() => undefined)
  return links && MOST_PORTS - links.length
}
