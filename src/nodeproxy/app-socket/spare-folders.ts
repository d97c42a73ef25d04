import { mkdir, rename } from 'node:fs/promises'
import { isNoSpace, ShadowError, systemCode } from '../../lib/errors.ts'

// Each takes one block of the disk. So many apps can be started on a disk without a free block.
const SPARES = 8
const MODE = 0o755

/**
 * Makes folders in a folder, also where the disk has not one block left: for that some are made beforehand, and one of them is renamed. No folder that
 * an app has had is used again.
 */
export class SpareFolders {
  readonly #spares: readonly string[]
  #areAll = false

  constructor(folder: string) {
    this.#spares = Array.from({ length: SPARES }, (_, at) => `${folder}/spare-${at}`)
  }

  /** Makes the folder; one that is there already is left as it is. Fails with `disk-full`. */
  async make(path: string): Promise<void> {
    try {
      await mkdir(path, { recursive: true, mode: MODE })
    } catch (cause) {
      if (!isNoSpace(cause)) throw cause
      this.#areAll = false
      for (const spare of this.#spares) if (await renamed(spare, path)) return
      throw new ShadowError('disk-full', `no space left to make ${path}`, { cause })
    }
  }

  /** Makes the spares that are missing, as far as the disk has room for them. */
  async fill(): Promise<void> {
    if (this.#areAll) return
    for (const spare of this.#spares)
      try {
        await mkdir(spare, { mode: MODE })
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') return
      }
    this.#areAll = true
  }
}

async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch {
    return false // it is in use already
  }
}
