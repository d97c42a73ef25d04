import { isIPv4 } from 'node:net'
import { readIfThere } from '../../lib/files.ts'

/**
 * Name servers that containers ask directly, by IPv4: Docker's own server in each container passes questions on to those of
 * the machine (resolv.conf(5)), or of `/etc/docker/daemon.json`. One on a loopback address is asked by Docker itself, from the
 * machine; where systemd-resolved is that one, Docker takes those behind it.
 */
export async function nameServers(): Promise<readonly string[]> {
  const [own, behind, daemon] = await Promise.all([
    readIfThere('/etc/resolv.conf'),
    readIfThere('/run/systemd/resolve/resolv.conf'),
    readIfThere('/etc/docker/daemon.json'),
  ])
  const found = [...serversOf(own ?? ''), ...serversOf(behind ?? ''), ...dnsOf(daemon ?? '')]
  // Docker asks Google's servers where the machine names none but its own.
  return [...new Set(found)].filter(server => isIPv4(server) && !server.startsWith('127.'))
}

const serversOf = (text: string): string[] =>
  text.split('\n').flatMap(line => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])

function dnsOf(text: string): string[] {
  try {
    const { dns } = JSON.parse(text) as { dns?: unknown }
    return Array.isArray(dns) ? dns.filter(server => typeof server === 'string') : []
  } catch {
    return [] // Docker runs without, or would not run
  }
}
