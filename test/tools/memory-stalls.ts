import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'
import { readMemoryStalls } from '../../src/lib/memory.ts'
import { until } from './shadow.ts'
import { zramSwap } from './zram.ts'

const CONTROLLER = '/sys/fs/cgroup/memory'
const LIMIT_BYTES = 96 * 2 ** 20
/** It goes through three times the memory that it may have, page by page, so that each page comes back from swap. */
const PROGRAM = `const all = Buffer.alloc(${3 * LIMIT_BYTES}, 1); for (;;) for (let i = 0; i < all.length; i += 4096) all[i]++`

/**
 * A process that waits for memory at the limit of a cgroup of its own, for more than `percent` of the time, while the machine has enough; undefined
 * where this machine has no swap in zram, no memory controller of cgroup v1, or a kernel that does not count such waits.
 */
export async function memoryStalls(percent: number): Promise<AsyncDisposable | undefined> {
  if (readMemoryStalls() === undefined || !existsSync(`${CONTROLLER}/memory.limit_in_bytes`)) return undefined
  await using held = new AsyncDisposableStack()
  const swap = await zramSwap()
  if (swap === undefined) return undefined
  held.use(swap)
  const group = `${CONTROLLER}/shadow-stalls-${randomBytes(3).toString('hex')}`
  await mkdir(group)
  held.defer(() => rmdir(group))
  await writeFile(`${group}/memory.limit_in_bytes`, String(LIMIT_BYTES))
  // The shell is in the group before the program takes any memory.
  const words = ['-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, process.execPath, '-e', PROGRAM]
  const child = spawn('sh', words, { stdio: 'ignore' })
  held.defer(() => killed(child))
  await until(async () => ((readMemoryStalls()?.some ?? 0) > percent ? true : undefined))
  return held.move()
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
