import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

/** Removes the network of a test. */
export function removeNetwork(network: string): void {
  execFileSync('docker', ['network', 'rm', network], { stdio: 'pipe' })
}

/** Removes all networks of this node. */
export function removeNetworks(node: string): void {
  const of = ['--quiet', '--filter', `label=shadow.node=${node}`]
  const all = execFileSync('docker', ['network', 'ls', ...of], { encoding: 'utf8' }).split('\n')
  for (const network of all.filter(Boolean)) removeNetwork(network)
}

/**
 * Removes the networks of this node, if there are any, and the holders of prepared networks that a killed node has left. Each network has dozens of packet filter rules, and every call of iptables reads
 * all rules of the machine: a hundred networks make every later test slower.
 */
export async function removeNetworkOf(node: string): Promise<void> {
  const docker = (...args: string[]) => promisify(execFile)('docker', args)
  const held = ['--filter', `label=shadow.node=${node}`, '--filter', 'label=shadow.holder']
  const holders = (await docker('ps', '--all', '--quiet', ...held)).stdout.split('\n').filter(Boolean)
  if (holders.length > 0) await docker('rm', '--force', ...holders)
  const { stdout } = await docker('network', 'ls', '--quiet', '--filter', `label=shadow.node=${node}`)
  for (const network of stdout.split('\n').filter(Boolean))
    await docker('network', 'rm', network).catch(() => undefined) // in use: remaining networks are reported after all journeys
}
