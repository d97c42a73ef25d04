import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Swap in compressed memory; undefined where this machine cannot have it, or has other swap already. */
export async function zramSwap(megabytes = 512): Promise<AsyncDisposable | undefined> {
  const swaps = (await readFile('/proc/swaps', 'utf8')).trim().split('\n').length - 1
  if (swaps > 0) return undefined
  await run('modprobe', ['zram']).catch(() => undefined) // it may be built in
  const id = (await readFile('/sys/class/zram-control/hot_add', 'utf8').catch(() => '')).trim()
  if (id === '') return undefined
  const remove = () => writeFile('/sys/class/zram-control/hot_remove', id)
  try {
    await writeFile(`/sys/block/zram${id}/disksize`, `${megabytes}M`)
    await run('mkswap', [`/dev/zram${id}`])
    await run('swapon', [`/dev/zram${id}`])
  } catch {
    await remove()
    return undefined
  }
  return {
    async [Symbol.asyncDispose]() {
      await run('swapoff', [`/dev/zram${id}`])
      await remove()
    },
  }
}
