import { mkdir, realpath } from 'node:fs/promises'
import { type VolumeId, volumeId } from '../../model/names.ts'

/** The file with a volume's bytes. */
export const IMAGE = 'image.ext4'
const MOUNTPOINT = 'mnt'

/** Where a volume's things are below the volumes' folder: one folder for each volume. */
export const folderOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}`
export const imageOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}/${IMAGE}`
/** The file in which a node remembers a lease that does not expire. */
export const leaseFileOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}/lease.json`
export const mountpointOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}/${MOUNTPOINT}`

/** The volume that is mounted at this path; undefined where the path is no mountpoint below the folder. */
export const mountedAt = (folder: string, path: string): VolumeId | undefined => volumeAt(folder, path, MOUNTPOINT)

/** The volume whose folder has this path as its file `name`; undefined where it is not below the folder. */
export function volumeAt(folder: string, path: string, name: string): VolumeId | undefined {
  if (!path.startsWith(`${folder}/`) || !path.endsWith(`/${name}`)) return undefined
  const id = path.slice(folder.length + 1, -name.length - 1)
  return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(id) ? volumeId(id) : undefined
}

/** The folder as the kernel names it in mountinfo and sysfs; made on the first call. */
export function realFolder(folder: string): () => Promise<string> {
  let real: Promise<string> | undefined
  return () => {
    real ??= mkdir(folder, { recursive: true, mode: 0o700 })
      .then(() => realpath(folder))
      .catch(error => {
        real = undefined
        throw error
      })
    return real
  }
}
