import { readFile } from 'node:fs/promises'

export type Mounted = { readonly at: string; readonly source: string }

/** What is mounted in this process's view of the machine (proc(5), /proc/self/mountinfo). */
export async function mountinfo(): Promise<Mounted[]> {
  const found: Mounted[] = []
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [before, after] = line.split(' - ')
    const at = before?.split(' ')[4]
    const source = after?.split(' ')[1]
    if (at !== undefined && source !== undefined) found.push({ at: unescaped(at), source: unescaped(source) })
  }
  return found
}

// The kernel writes space, tab, newline and backslash as octal.
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
