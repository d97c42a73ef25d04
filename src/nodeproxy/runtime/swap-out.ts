import { readFile, writeFile } from 'node:fs/promises'
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
  const found = cgroupsOf(groups, 'memory')
  const v1 = found.find(({ version }) => version === 1)
  if (v1 !== undefined) return writeFile(`${v1.at}/memory.force_empty`, '0', { flag: 'r+' })
  const at = found[0]?.at
  // Docker allows none, since it says of both together what the definition says of the memory.
  await writeFile(`${at}/memory.swap.max`, 'max', { flag: 'r+' })
  const used = (await readFile(`${at}/memory.current`, 'utf8')).trim()
  // It fails with EAGAIN where less than that could be moved.
  await writeFile(`${at}/memory.reclaim`, used, { flag: 'r+' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EAGAIN') throw error
  })
}
