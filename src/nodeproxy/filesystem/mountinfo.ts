import { readFile } from 'node:fs/promises'

/** `device`: `major:minor`; `isShared`: whether its mounts are passed on to others. */
export type Mounted = {
  readonly at: string
  readonly source: string
  readonly device: string
  readonly isShared: boolean
}

/** What is mounted in the process's view of the machine (proc(5), /proc/PID/mountinfo). */
export async function mountinfo(pid: number | 'self' = 'self'): Promise<Mounted[]> {
  const found: Mounted[] = []
  for (const line of (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).split('\n')) {
    const [before, after] = line.split(' - ')
    const [, , device, , at, , ...passing] = before?.split(' ') ?? []
    const source = after?.split(' ')[1]
    if (device !== undefined && at !== undefined && source !== undefined)
      found.push({ at: unescaped(at), source: unescaped(source), device, isShared: passing.some(isSharing) })
  }
  return found
}

const isSharing = (field: string): boolean => field.startsWith('shared:')

// The kernel writes space, tab, newline and backslash as octal.
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
