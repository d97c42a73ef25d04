import { stat, statfs } from 'node:fs/promises'
import type { Exec } from '../../lib/exec.ts'
import type { VolumeId } from '../../model/names.ts'

const MIB = 2 ** 20

/**
 * Gives bytes that apps deleted back to the machine's disk, by fstrim before the unmount. Not by the mount option `discard`:
 * what is deleted in the last seconds before an unmount is never discarded by it. An fstrim looks at the whole filesystem
 * (4 ms for 1 GiB, 20 ms for 64 GiB), so it is only done where there is enough to gain: two calls of stat tell that.
 */
export class Trim {
  readonly #exec: Exec
  /** What an image takes beyond what is used in it: its journal and tables, after the last trim. */
  readonly #overhead = new Map<VolumeId, number>()

  constructor(exec: Exec) {
    this.#exec = exec
  }

  /** Trims the volume mounted at `at` where its image has grown too large for its content; never fails. Without an image there is nothing to gain. */
  async trim(volume: VolumeId, at: string, image: string | undefined): Promise<void> {
    if (image === undefined) return
    try {
      const { excess, size } = await measure(at, image)
      const gain = excess - (this.#overhead.get(volume) ?? 0)
      if (gain < Math.max(MIB, size / 256)) return
      // Blocks that a transaction has freed are only trimmed once it is committed.
      await this.#exec('sync', ['--file-system', at])
      await this.#exec('fstrim', [at])
      this.#overhead.set(volume, (await measure(at, image)).excess)
    } catch {
      // The sleep goes on if the disk cannot be trimmed.
    }
  }
}

async function measure(at: string, image: string): Promise<{ excess: number; size: number }> {
  const [inside, outside] = await Promise.all([statfs(at), stat(image)])
  const used = (inside.blocks - inside.bfree) * inside.bsize
  return { excess: outside.blocks * 512 - used, size: outside.size }
}
