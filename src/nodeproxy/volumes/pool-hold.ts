import { randomUUID } from 'node:crypto'
import { link, open, readdir, rename, rm } from 'node:fs/promises'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import { syncFolder } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName, VolumeId } from '../../model/names.ts'
import { copyImage } from './image-copy.ts'
import { IMAGE } from './layout.ts'
import { noSuchVolume, PART, removeParts } from './loop-image.ts'

type Held = {
  /** The folder of the volume. */
  readonly folder: string
  readonly node: NodeName
  readonly volume: VolumeId
  readonly exec: Exec
  readonly log: Log
}

/** The name of a node's hold on an image: a hard link, below the folder of the volume. */
export const holdName = (node: NodeName): string => `at-${node}.ext4`
const isHold = (name: string): boolean => /^at-[a-z0-9-]+\.ext4$/.test(name)

/**
 * Takes the hold of this node on the image. The caller has the lease. A node drops its hold when its device is detached and all bytes
 * are on the storage. A hold of another node therefore means a node that may write still, or later: it was killed, paused or cut off.
 * Then the image is copied, and the copy takes its place: the other node has the replaced file open, and cannot reach the new one.
 * Fails with `not-found`; with `volume-in-use` where this node itself has a replaced image attached; with `disk-full`.
 */
export async function holdImage(held: Held & { readonly isAttached: boolean }, signal: AbortSignal): Promise<void> {
  const { folder, node, volume, isAttached, log } = held
  const hold = `${folder}/${holdName(node)}`
  const image = await inodeOf(`${folder}/${IMAGE}`)
  if (image === undefined) throw noSuchVolume(volume)
  const own = await inodeOf(hold)
  if (own !== image) {
    if (isAttached)
      throw new ShadowError(
        'volume-in-use',
        `another node has taken volume ${volume} over, and it is still attached here`,
      )
    await rm(hold, { force: true })
    // The new link also makes NFS list the folder anew, which it would otherwise do once in a minute.
    await link(`${folder}/${IMAGE}`, hold)
  }
  const others = (await readdir(folder)).filter(name => isHold(name) && `${folder}/${name}` !== hold)
  if (others.length === 0) return
  const inodes = await Promise.all(others.map(name => inodeOf(`${folder}/${name}`)))
  if (inodes.includes(image)) {
    log.warn('volume copied: its last node did not detach it', { volume, holds: others })
    await replaceImage(held, image, signal)
  }
  for (const name of others) await rm(`${folder}/${name}`, { force: true })
}

/** Drops the hold of this node, once all bytes are on the storage. No hold is success. */
export async function dropHold({ folder, node }: Held): Promise<void> {
  const hold = `${folder}/${holdName(node)}`
  try {
    await using file = await open(hold, 'r+')
    await file.sync() // and the close makes NFS show the bytes to whoever opens the file next
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  await rm(hold, { force: true })
}

async function replaceImage({ folder, node, volume, exec }: Held, image: string, signal: AbortSignal): Promise<void> {
  const hold = `${folder}/${holdName(node)}`
  await removeParts(folder)
  const part = `${folder}/${PART}${randomUUID()}`
  try {
    const full = (cause: unknown): ShadowError =>
      new ShadowError('disk-full', `no space left to take volume ${volume} over: its image has to be copied`, {
        cause,
        hint: 'free space on the storage of SHADOW_POOL, or start the node again that had the volume',
      })
    await copyImage({ exec, from: `${folder}/${IMAGE}`, to: part, full })
    // The copy may have taken longer than the lease: then another node may have the volume, and has removed this hold.
    signal.throwIfAborted()
    if ((await inodeOf(hold)) !== image)
      throw new ShadowError('volume-in-use', `another node has taken volume ${volume} over while it was copied`)
    await rename(part, `${folder}/${IMAGE}`)
  } finally {
    await rm(part, { force: true })
  }
  await rm(hold, { force: true })
  await link(`${folder}/${IMAGE}`, hold)
  await syncFolder(folder)
}

/** Which file the path names; undefined where it is not there. It is opened for that, as NFS looks closely only then. */
async function inodeOf(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r')
    const { dev, ino } = await file.stat({ bigint: true })
    return `${dev}:${ino}`
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
