import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

/** Removes the network of a test. */
export function removeNetwork(network: string): void {
  execFileSync('docker', ['network', 'rm', network], { stdio: 'pipe' })
}

/**
 * Removes the network of this node, if there is one, and the holders of prepared networks that a killed node has left. Each network has dozens of packet filter rules, and every call of iptables reads
 * all rules of the machine: a hundred networks make every later test slower.
 */
export async function removeNetworkOf(node: string): Promise<void> {
  const docker = (...args: string[]) => promisify(execFile)('docker', args)
  const held = ['--filter', `label=shadow.node=${node}`, '--filter', 'label=shadow.holder']
  const holders = (await docker('ps', '--all', '--quiet', ...held)).stdout.split('\n').filter(Boolean)
  if (holders.length > 0) await docker('rm', '--force', ...holders)
  const removed = docker('network', 'rm', `shadow-${node}`)
  await removed.catch(() => undefined) // never made, or in use: remaining networks are reported after all journeys
}
