import { randomUUID } from 'node:crypto'
import { link, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode } from '../../lib/errors.ts'
import { makeFolder, syncFolder } from '../../lib/files.ts'
import type { KeyedMutex } from '../../lib/mutex.ts'
import type { SnapshotId, VolumeId } from '../../model/names.ts'
import { folderOf, IMAGE, imageOf } from './layout.ts'
import type { Replacement } from './snapshots.ts'

/** Begins the names of folders with bytes that may replace those of a volume, in the folder of the volume. */
const RESTORING = 'restoring-'

type Options = {
  /** The folder of the volumes. */
  readonly root: () => Promise<string>
  /** The turns of the driver. */
  readonly turns: KeyedMutex<VolumeId>
  /** Tells what this machine has begun from what other machines have begun on the same storage. */
  readonly owner: string
  /** The file of a snapshot, whether it is there or not. */
  readonly snapshotFile: (volume: VolumeId, id: SnapshotId) => Promise<string>
  readonly steps?: SwitchSteps | undefined
}

/** What a switch changes on the disk, in this order. Tests let a process die between two of them. */
export type SwitchSteps = {
  readonly link: typeof link
  readonly rename: typeof rename
  readonly syncFolder: typeof syncFolder
}
const STEPS: SwitchSteps = { link, rename, syncFolder }

/**
 * Images beside those of volumes, which take their places by one rename. What a restore from a snapshot copies, and what one from a backup
 * brings, goes this way.
 */
export function imageReplacements({ root, turns, owner, snapshotFile, steps = STEPS }: Options) {
  const prefix = `${RESTORING}${owner}.`
  /** Folders that this process writes to. */
  const underWay = new Set<string>()

  /** Removes what killed runs of this node have begun for the volume. */
  async function removeLeft(folder: string): Promise<void> {
    for (const name of await readdir(folder)) {
      const path = `${folder}/${name}`
      if (name.startsWith(prefix) && !underWay.has(path)) await rm(path, { recursive: true, force: true })
    }
  }

  /** Makes `part` the image of the volume. After a crash at any step the volume has all of its old bytes or all of the new ones. */
  async function swap(volume: VolumeId, part: string, keep: SnapshotId): Promise<boolean> {
    const [folder, image, kept] = [
      folderOf(await root(), volume),
      imageOf(await root(), volume),
      await snapshotFile(volume, keep),
    ]
    await syncFile(part)
    await makeFolder(dirname(kept))
    // Until the rename below, `keep` is another name of the bytes that the volume has: it does not count as a snapshot.
    const had = await steps.link(image, kept).then(
      () => true,
      error => {
        if (systemCode(error) === 'ENOENT') return false // a volume that was never made
        throw error
      },
    )
    for (const at of [dirname(kept), dirname(dirname(kept)), await root()]) await steps.syncFolder(at)
    await steps.rename(part, image)
    await steps.syncFolder(folder)
    return had
  }

  return {
    /** A place for bytes that the caller writes to its file. */
    async blank(volume: VolumeId): Promise<Replacement> {
      const folder = folderOf(await root(), volume)
      await makeFolder(folder)
      await removeLeft(folder)
      const place = `${folder}/${prefix}${randomUUID()}`
      underWay.add(place)
      await makeFolder(place)
      const file = `${place}/${IMAGE}`
      return {
        file,
        swap: keep => turns.take(volume, () => swap(volume, file, keep)),
        async [Symbol.asyncDispose]() {
          await rm(place, { recursive: true, force: true })
          underWay.delete(place)
        },
      }
    },

    /** Removes what killed runs of this node have begun for any volume. */
    async recover(): Promise<void> {
      for (const entry of await readdir(await root(), { withFileTypes: true }))
        if (entry.isDirectory()) await removeLeft(`${await root()}/${entry.name}`)
    },
  }
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}
