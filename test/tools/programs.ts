import { execFileSync } from 'node:child_process'

/** Whether there is such a program on this machine. */
export function hasProgram(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
