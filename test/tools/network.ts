import { execFileSync } from 'node:child_process'
import { holderOf } from '../../src/nodeproxy/runtime/docker-holder.ts'

/** Removes a network of a test's own, with the container that holds it. */
export function removeNetwork(network: string): void {
  for (const args of [
    ['rm', '--force', holderOf(network)],
    ['network', 'rm', network],
  ])
    execFileSync('docker', args, { stdio: 'pipe' })
}
