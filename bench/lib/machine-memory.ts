import { readdir, readFile } from 'node:fs/promises'
import { readMemory } from '../../src/lib/memory.ts'

const KIB = 1_024

/** The memory of this machine that is in use, in bytes: all of it without what is available to programs. Compressed swap counts by what it takes. */
export async function usedBytes(): Promise<number> {
  const { totalBytes, availableBytes } = readMemory()
  return totalBytes - availableBytes
}

/** Of the processes of a program: how many run, and their memory in bytes, of which what several share counts in parts. */
export async function memoryOf(program: string): Promise<{ readonly count: number; readonly bytes: number }> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  let count = 0
  let bytes = 0
  for (const pid of pids) {
    const [name, rollup] = await Promise.all([textOf(`/proc/${pid}/comm`), textOf(`/proc/${pid}/smaps_rollup`)])
    // The kernel cuts names to 15 characters.
    if (name.trim() !== program.slice(0, 15)) continue
    count += 1
    bytes += KIB * Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0)
  }
  return { count, bytes }
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '') // the process has ended
