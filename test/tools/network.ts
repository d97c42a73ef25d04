import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

/** Removes the network of a test. */
export function removeNetwork(network: string): void {
  execFileSync('docker', ['network', 'rm', network], { stdio: 'pipe' })
}

/**
 * Removes the network of this node, if there is one. Each network has dozens of packet filter rules, and every call of iptables reads
 * all rules of the machine: a hundred networks make every later test slower.
 */
export async function removeNetworkOf(node: string): Promise<void> {
  const removed = promisify(execFile)('docker', ['network', 'rm', `shadow-${node}`])
  await removed.catch(() => undefined) // never made, or in use: remaining networks are reported after all journeys
}
