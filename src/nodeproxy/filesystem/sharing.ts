import type { Exec } from '../../lib/exec.ts'
import { mountinfo } from './mountinfo.ts'

/**
 * Mounts of a shared mount reach the containers that have a folder of it (mount_namespaces(7)). On most machines the whole tree is shared, since systemd
 * begins like that. Elsewhere a folder is mounted onto itself, and that mount is shared.
 */
export class Sharing {
  readonly #exec: Exec

  constructor(exec: Exec) {
    this.#exec = exec
  }

  async share(folder: string): Promise<void> {
    const mount = await mountOf(folder)
    if (mount.isShared) return
    if (mount.at !== folder) await this.#exec('mount', ['--bind', folder, folder])
    await this.#exec('mount', ['--make-shared', folder])
  }

  /** Nothing may be mounted below the folder. */
  async unshare(folder: string): Promise<void> {
    // Lazily: an open file of the folder may have been opened through this mount. What was mounted onto itself is the same folder after that.
    if ((await mountOf(folder)).at === folder) await this.#exec('umount', ['--lazy', folder])
  }
}

/** The uppermost mount that a folder is in. */
async function mountOf(folder: string) {
  const above = (await mountinfo()).filter(({ at }) => at === '/' || at === folder || folder.startsWith(`${at}/`))
  const longest = Math.max(...above.map(({ at }) => at.length))
  const found = above.findLast(({ at }) => at.length === longest)
  if (found === undefined) throw new Error(`${folder} is in no mount`)
  return found
}
