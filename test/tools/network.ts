import { execFileSync } from 'node:child_process'

/** Removes the network of a test. */
export function removeNetwork(network: string): void {
  execFileSync('docker', ['network', 'rm', network], { stdio: 'pipe' })
}
