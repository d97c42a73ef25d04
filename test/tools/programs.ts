import { execFileSync } from 'node:child_process'

/** Whether this program is installed here. */
export function hasProgram(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
