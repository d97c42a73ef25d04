import { writeFile } from 'node:fs/promises'
import { ShadowError } from '../../lib/errors.ts'
import { kernelFile } from '../../lib/kernel-files.ts'
import { readMemory } from '../../lib/memory.ts'
import { cgroupsOf } from './cgroups.ts'
import type { Container } from './runtime.ts'

/**
 * Moves the memory of a container to the swap of this machine, as far as the kernel can: by `memory.reclaim` of cgroups v2, or
 * `memory.force_empty` of v1. A process whose memory is there reads it back page by page as it uses it. Fails with `no-swap`, and with
 * `runtime-unreachable` where the cgroup is out of reach.
 */
export async function swapOut({ id, app }: Pick<Container, 'id' | 'app'>, pid: number | undefined): Promise<void> {
  if (readMemory().swapTotalBytes === 0)
    throw new ShadowError('no-swap', `this machine has no swap for the memory of ${app}`, {
      hint: 'make some: zram (zramctl, mkswap, swapon) or a swap file',
    })
  const groups = pid === undefined ? '' : (kernelFile(`/proc/${pid}/cgroup`) ?? '')
  if (!groups.includes(id))
    throw new ShadowError('runtime-unreachable', `the cgroup of ${app} cannot be reached from this process`)
  for (const group of cgroupsOf(groups, 'memory'))
    if (await (group.version === 1 ? emptied : reclaimed)(group.at)) return
  throw new ShadowError(
    'runtime-unreachable',
    `the memory of ${app} cannot be moved: its cgroup has no memory controller`,
  )
}

async function emptied(at: string): Promise<boolean> {
  return writtenIn(`${at}/memory.force_empty`, '0')
}

async function reclaimed(at: string): Promise<boolean> {
  const used = kernelFile(`${at}/memory.current`)?.trim()
  // Docker allows no swap, since it says of both together what the definition says of the memory.
  if (used === undefined || !(await writtenIn(`${at}/memory.swap.max`, 'max'))) return false
  // It fails with EAGAIN where less than that could be moved.
  return writtenIn(`${at}/memory.reclaim`, used).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EAGAIN') throw error
    return true
  })
}

/** false where there is no such file: this version of cgroups does not have the controller. */
async function writtenIn(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'r+' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return false
  }
}
