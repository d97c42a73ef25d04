import { execFileSync } from 'node:child_process'

/** Removes a network of a test's own. */
export function removeNetwork(network: string): void {
  execFileSync('docker', ['network', 'rm', network], { stdio: 'pipe' })
}
