import { randomUUID } from 'node:crypto'
import { access, link, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isNoSpace, ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { makeFolder, syncFolder } from '../../lib/files.ts'
import type { KeyedMutex } from '../../lib/mutex.ts'
import { isSnapshotId, type SnapshotId, type VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import { copyImage } from './image-copy.ts'
import { ImagePasses } from './image-passes.ts'
import { imageReplacements, type SwitchSteps } from './image-replacements.ts'
import { imageOf } from './layout.ts'
import { noSuchVolume, PART, removeParts } from './loop-image.ts'
import { mustHaveRoom } from './room.ts'
import { noSuchSnapshot, type Prepared, type Replacement, type SnapshotRef, type Snapshots } from './snapshots.ts'

type Options = {
  /** The folder of the volumes. */
  readonly root: () => Promise<string>
  /** The turns of the driver. */
  readonly turns: KeyedMutex<VolumeId>
  readonly exec: Exec
  /** So much of the storage is left free by copies. */
  readonly floorBytes?: number | undefined
  /** The name of this node, where other nodes see the same storage. */
  readonly owner?: string | undefined
  /** Left out: those of the filesystem. */
  readonly steps?: SwitchSteps | undefined
}

const END = '.ext4'
/** Begins the names of files that are no snapshots yet: they are not removed while this process writes to them. */
const COPYING = 'copying-'

type ImageSnapshots = Snapshots & Required<Pick<Snapshots, 'prepare' | 'replacements' | 'bytesOf' | 'file'>>

/**
 * Snapshots of images, as copies at `<folder>/.snapshots/<volume>/<snapshot>.ext4`: not in the folder of the volume, which goes with it.
 * A copy has its name only when it is whole and synced.
 */
export function imageSnapshots({ root, turns, exec, floorBytes = 0, owner = 'here', steps }: Options): ImageSnapshots {
  const snapshotsOf = async (volume: VolumeId): Promise<string> => `${await root()}/.snapshots/${volume}`
  const pathOf = async ({ volume, id }: SnapshotRef): Promise<string> => `${await snapshotsOf(volume)}/${id}${END}`
  const snapshotFile = (volume: VolumeId, id: SnapshotId): Promise<string> => pathOf({ volume, id })
  const replacements = imageReplacements({ root, turns, owner, snapshotFile, steps })
  /** Files that this process writes to. */
  const underWay = new Set<string>()

  async function file(snapshot: SnapshotRef): Promise<string> {
    const path = await pathOf(snapshot)
    if (!(await isThere(path))) throw noSuchSnapshot(snapshot)
    return path
  }

  /** Removes the copies of killed runs from the folder. */
  async function removeLeft(folder: string, prefix: string): Promise<void> {
    for (const name of await readdir(folder))
      if (name.startsWith(prefix) && !underWay.has(`${folder}/${name}`)) await rm(`${folder}/${name}`, { force: true })
  }

  /** A name for a copy in the folder, from which the copies of killed runs are removed. */
  async function begin(folder: string, prefix: string): Promise<string> {
    await makeFolder(folder)
    await removeLeft(folder, prefix)
    const path = `${folder}/${prefix}${randomUUID()}`
    underWay.add(path)
    return path
  }

  async function end(path: string): Promise<void> {
    await rm(path, { force: true })
    underWay.delete(path)
  }

  async function prepare(snapshot: SnapshotRef, signal: AbortSignal): Promise<Prepared | undefined> {
    const { volume } = snapshot
    const image = imageOf(await root(), volume)
    if (!(await isThere(image))) throw noSuchVolume(volume)
    const copy = await begin(await snapshotsOf(volume), COPYING)
    if (await isReflink(image, copy, exec)) {
      await end(copy)
      return undefined
    }
    await mustHaveRoom(dirname(copy), await takenBy(image), floorBytes, (needed, free) =>
      noRoom(snapshot, undefined, { needed, free }),
    )
    const passes = new ImagePasses({ exec, from: image, to: copy })
    const prepared: Prepared = {
      rest: () => passes.rest(),
      async finish(until) {
        await passes.atRest(until).catch(error => Promise.reject(isNoSpace(error) ? noRoom(snapshot, error) : error))
        return copy
      },
      async [Symbol.asyncDispose]() {
        await passes[Symbol.asyncDispose]()
        await end(copy)
      },
    }
    try {
      await passes.whileWritten(signal)
      return prepared
    } catch (error) {
      await prepared[Symbol.asyncDispose]()
      throw isNoSpace(error) ? noRoom(snapshot, error) : error
    }
  }

  async function take(snapshot: SnapshotRef, signal: AbortSignal, prepared?: Prepared): Promise<void> {
    const { volume } = snapshot
    const [image, folder, path] = [imageOf(await root(), volume), await snapshotsOf(volume), await pathOf(snapshot)]
    if (await isThere(path)) return
    if (!(await isThere(image))) throw noSuchVolume(volume)
    await makeFolder(folder)
    await removeParts(folder)
    const part = `${folder}/${PART}${randomUUID()}`
    try {
      signal.throwIfAborted()
      if (prepared !== undefined) await rename(await prepared.finish(signal), part)
      else await copyImage({ exec, from: image, to: part, full: cause => noRoom(snapshot, cause) })
      // A caller that has left may have let the app write on while its bytes were copied, or have lost the lease.
      signal.throwIfAborted()
      await link(part, path)
    } finally {
      await rm(part, { force: true })
    }
    for (const at of [folder, `${folder}/..`, await root()]) await syncFolder(at)
  }

  async function copyOf(snapshot: SnapshotRef, signal: AbortSignal): Promise<Replacement> {
    const from = await file(snapshot)
    const replacement = await replacements.blank(snapshot.volume)
    try {
      if (!(await isReflink(from, replacement.file, exec)))
        await mustHaveRoom(dirname(replacement.file), await takenBy(from), floorBytes, (needed, free) =>
          noRoomToRestore(snapshot, undefined, { needed, free }),
        )
      await rm(replacement.file, { force: true })
      await copyImage({ exec, from, to: replacement.file, full: cause => noRoomToRestore(snapshot, cause) })
      signal.throwIfAborted()
      return replacement
    } catch (error) {
      await replacement[Symbol.asyncDispose]()
      throw error
    }
  }

  return {
    file,
    prepare,
    take: (snapshot, signal, prepared) => turns.take(snapshot.volume, () => take(snapshot, signal, prepared)),
    finish: async snapshot => void (await file(snapshot)),
    replacements: { ...replacements, copyOf },
    bytesOf: async snapshot => takenBy(await file(snapshot)),

    async of(volume) {
      const folder = await snapshotsOf(volume)
      const names = await readdir(folder).catch(error => {
        if (systemCode(error) === 'ENOENT') return []
        throw error
      })
      const ids = names
        .filter(name => name.endsWith(END))
        .map(name => name.slice(0, -END.length))
        .filter(isSnapshotId)
      const image = await inodeOf(imageOf(await root(), volume))
      const own = await Promise.all(ids.map(async id => (await inodeOf(`${folder}/${id}${END}`)) !== image))
      return ids.filter((_, at) => own[at])
    },

    remove: snapshot =>
      turns.take(snapshot.volume, async () => {
        const folder = await snapshotsOf(snapshot.volume)
        if (!(await isThere(folder))) return
        await removeParts(folder)
        await removeLeft(folder, COPYING)
        await rm(await pathOf(snapshot), { force: true })
        await syncFolder(folder)
      }),
  }
}

/** Tries to make `to` share the blocks of `from`; false where the filesystem cannot do that. */
async function isReflink(from: string, to: string, exec: Exec): Promise<boolean> {
  try {
    await exec('cp', ['--reflink=always', '--', from, to])
    return true
  } catch (error) {
    if (!(error instanceof ExecError)) throw error
    await rm(to, { force: true })
    return false
  }
}

const takenBy = async (path: string): Promise<number> => (await stat(path)).blocks * 512

async function inodeOf(path: string): Promise<bigint | undefined> {
  return stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined,
  )
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

type Room = { readonly needed: number; readonly free: number }

const sayRoom = (room: Room | undefined): string =>
  room === undefined ? '' : `: ${sayBytes(room.needed)} are needed, and ${sayBytes(room.free)} are free`

const noRoom = ({ volume, id }: { volume: VolumeId; id: SnapshotId }, cause: unknown, room?: Room): ShadowError =>
  new ShadowError('disk-full', `no space left for the snapshot ${id} of volume ${volume}${sayRoom(room)}`, {
    cause,
    hint: 'free space where the volumes are (df -h), or remove snapshots',
  })

const noRoomToRestore = ({ volume, id }: SnapshotRef, cause: unknown, room?: Room): ShadowError =>
  new ShadowError(
    'disk-full',
    `no space left to restore volume ${volume} from the snapshot ${id}${sayRoom(room)}; the volume is as it was`,
    { cause, hint: 'free space where the volumes are (df -h), or remove snapshots' },
  )
