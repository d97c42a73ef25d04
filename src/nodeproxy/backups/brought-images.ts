import { randomUUID } from 'node:crypto'
import { chmod, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RepositoryAccess, Restored } from '../../api/backup-schemas.ts'
import { isNoSpace, ShadowError } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { makeFolder } from '../../lib/files.ts'
import type { NodeName, VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import { checkFilesystem } from '../filesystem/ext4-tools.ts'
import type { BlockDrivers, VolumeRef } from '../volumes/block-drivers.ts'
import { dataExtents } from '../volumes/data-extents.ts'
import { imageDigest } from '../volumes/image-digest.ts'
import { IMAGE } from '../volumes/layout.ts'
import { mustHaveRoom } from '../volumes/room.ts'
import type { Replacement } from '../volumes/snapshots.ts'
import { IMAGE_IN_BACKUP, type repositories } from './repository.ts'

type Options = {
  /** The folder with the volumes on the disk of this machine. */
  readonly folder: string
  readonly node: NodeName
  readonly volumes: BlockDrivers
  readonly repository: ReturnType<typeof repositories>
  /** So much of the disk is left free. */
  readonly floorBytes: number
  readonly exec: Exec
}

type Wanted = {
  /** The volume whose driver has the place for the image. */
  readonly ref: VolumeRef
  /** The volume that was backed up. */
  readonly from: VolumeId
  readonly backup: Restored
  readonly access: RepositoryAccess
  readonly signal: AbortSignal
}

/** A place for an image: beside a volume, whose bytes it can replace, or on the disk of this machine. */
type Place = Pick<Replacement, 'file'> & Partial<Pick<Replacement, 'swap'>> & AsyncDisposable

export type BroughtImages = ReturnType<typeof broughtImages>

/** Images from backups, restored by restic to a place where they are compared and checked. */
export function broughtImages({ folder, node, volumes, repository, floorBytes, exec }: Options) {
  const ownFolder = `${folder}/.restored`

  /** Whoever has begun the place disposes of it. Fails with `disk-full` where the backup has no room there. */
  async function begin(ref: VolumeRef, backup: Restored): Promise<Place> {
    const place = (await volumes.of(ref).snapshots?.replacements?.blank(ref.id)) ?? (await ownPlace())
    try {
      await mustHaveRoom(dirname(place.file), backup.dataBytes, floorBytes, (_, free) => noRoom(node, backup, free))
      return place
    } catch (error) {
      await place[Symbol.asyncDispose]()
      throw error
    }
  }

  async function ownPlace(): Promise<Place> {
    const place = `${ownFolder}/${randomUUID()}`
    await makeFolder(place)
    return {
      file: `${place}/${IMAGE}`,
      [Symbol.asyncDispose]: () => rm(place, { recursive: true, force: true }),
    }
  }

  return {
    begin,

    /** The image of the backup, whole. Whoever has asked for it disposes of it. Fails with `disk-full`, `backup-damaged`. */
    async bring({ ref, from, backup, access, signal }: Wanted): Promise<Place> {
      const place = await begin(ref, backup)
      const target = dirname(place.file)
      try {
        await repository({ volume: from, access, signal }).restore(backup.backup, target)
        await chmod(target, 0o700)
        await check(place.file, backup, exec, signal)
        signal.throwIfAborted()
        return place
      } catch (error) {
        await place[Symbol.asyncDispose]()
        throw isNoSpace(error) ? noRoom(node, backup, 0) : error
      }
    },

    /** Removes what killed runs of this node have left half-restored. */
    async recover(): Promise<void> {
      await volumes.recover()
      await rm(ownFolder, { recursive: true, force: true })
    },
  }
}

/** Compares the image with what was backed up, and checks its filesystem. Fails with `backup-damaged`. */
async function check(part: string, { backup, digest }: Restored, exec: Exec, signal: AbortSignal): Promise<void> {
  const file = await open(part, 'r+').catch(() => undefined)
  if (file === undefined) throw damaged(backup, `it has no ${IMAGE_IN_BACKUP}`)
  await using _ = file
  await file.sync()
  const extents = await dataExtents(part, exec, { isAtRest: true })
  const found = await imageDigest(file, extents, (await file.stat()).size, signal)
  if (found.digest !== digest) throw damaged(backup, 'it differs from what was backed up')
  // What is only read stays as it was backed up, byte for byte. Files that an app had open and deleted are faults to a check that only
  // reads: then it is repaired, as the next wake would do it.
  await exec('e2fsck', ['-f', '-n', part])
    .catch(() => checkFilesystem(part, exec, { force: true }))
    .catch(error => {
      if (!(error instanceof ExecError)) throw error
      const last = `${error.stdout}${error.stderr}`.trim().split('\n').at(-1)
      throw damaged(backup, `its filesystem cannot be repaired: ${last}`)
    })
}

const damaged = (backup: string, how: string): ShadowError =>
  new ShadowError('backup-damaged', `the backup ${backup.slice(0, 8)} cannot be used: ${how}; nothing was changed`, {
    hint: 'take an older one: shadow backup ls',
  })

const noRoom = (node: NodeName, { backup, dataBytes }: Restored, free: number): ShadowError =>
  new ShadowError(
    'disk-full',
    `the backup ${backup.slice(0, 8)} has ${sayBytes(dataBytes)} of data, and the disk of ${node} has room for ${sayBytes(free)}; nothing was changed`,
    { hint: 'a backup is restored beside the volume first: free space there (df -h), or move the app to another node' },
  )
