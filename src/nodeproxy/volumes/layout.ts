import { mkdir, realpath } from 'node:fs/promises'
import { type VolumeId, volumeId } from '../../model/names.ts'

/** Where a volume's things are below the volumes' folder: one folder for each volume. */
export const folderOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}`
export const imageOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}/image.ext4`
export const mountpointOf = (folder: string, volume: VolumeId): string => `${folder}/${volume}/mnt`

/** The volume whose image or mountpoint (`name`) the path is; undefined where it is not below the folder. */
export function volumeAt(folder: string, path: string, name: 'image.ext4' | 'mnt'): VolumeId | undefined {
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
