import { randomUUID } from 'node:crypto'
import { link, open, readdir, rm, stat, statfs, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { isNoSpace, makeFolder, syncFolder } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import { BLOCK, checkFilesystem, growFilesystem, makeFilesystem } from './filesystem.ts'

const PART = 'making-'
const IMAGE = 'image.ext4'

type Wanted = {
  readonly image: string
  readonly volume: VolumeId
  readonly sizeBytes: number
  readonly release: () => Promise<void>
  readonly exec: Exec
  /** How many times the room on the disk all volumes may be promised together. */
  readonly overcommit: number
  readonly log: Log
}

/**
 * Makes the image with an empty ext4 filesystem where there is none, or grows it where it is smaller; `release` lets go of
 * the image before it is grown. An image has its name only when it is whole and synced, and its name is never given again.
 */
export async function makeOrGrow(given: Wanted): Promise<void> {
  const { image, volume, sizeBytes, release, exec } = given
  const wanted = Math.ceil(sizeBytes / BLOCK) * BLOCK
  const there = await statIfThere(image)
  if (there === undefined) {
    await makeFolder(dirname(image))
    await assertRoom(given, wanted)
    return make(image, volume, wanted, exec)
  }
  if (there.size > wanted)
    throw new ShadowError(
      'bad-input',
      `volume ${volume} is ${sayBytes(there.size)} and cannot shrink to ${sayBytes(sizeBytes)}`,
      { hint: `ask for ${sayBytes(there.size)} or more` },
    )
  if (there.size === wanted && (await statIfThere(growing(image))) === undefined) return
  await assertRoom(given, wanted)
  await release()
  await grow(image, volume, wanted, exec)
}

async function make(image: string, volume: VolumeId, bytes: number, exec: Exec): Promise<void> {
  const folder = dirname(image)
  for (const name of await readdir(folder)) if (name.startsWith(PART)) await rm(`${folder}/${name}`, { force: true })
  // A name of its own for each try: the mkfs of a killed run may still be writing to the last one's.
  const part = `${folder}/${PART}${randomUUID()}`
  try {
    await onDisk(volume, async () => {
      await using file = await open(part, 'wx', 0o600)
      await file.truncate(bytes)
      await makeFilesystem(part, exec)
      await file.sync()
    })
    await link(part, image) // and not rename, which would replace what is there
  } finally {
    await rm(part, { force: true })
  }
  await syncFolder(folder)
  await syncFolder(dirname(folder))
}

// The mark stands from before the file is longer until the filesystem is, so that a crash between is made good.
const growing = (image: string): string => `${image}.growing`

async function grow(image: string, volume: VolumeId, bytes: number, exec: Exec): Promise<void> {
  await onDisk(volume, async () => {
    await (await open(growing(image), 'a', 0o600)).close()
    await syncFolder(dirname(image))
    await truncate(image, bytes)
    await checkFilesystem(image, exec, { force: true })
    await growFilesystem(image, exec)
    await using file = await open(image, 'r+')
    await file.sync()
  })
  await rm(growing(image), { force: true })
}

/**
 * A sparse file may be larger than what is free now, but one larger than the whole disk is a mistake; and what all volumes
 * may grow to together is bounded, and told where it is more than there is room for.
 */
async function assertRoom({ image, volume, overcommit, log }: Wanted, bytes: number): Promise<void> {
  const folder = dirname(image)
  const disk = await statfs(folder)
  const total = disk.blocks * disk.bsize
  if (bytes > total)
    throw new ShadowError(
      'disk-full',
      `volume ${volume} of ${sayBytes(bytes)} does not fit on a disk of ${sayBytes(total)}`,
      { hint: 'ask for a smaller volume, or use a larger disk for the data folder' },
    )
  const all = await imagesBeside(folder)
  const others = all.filter(({ path }) => path !== image).reduce((sum, { size }) => sum + size, 0)
  const promised = others + bytes
  const room = disk.bavail * disk.bsize + all.reduce((sum, { blocks }) => sum + blocks * 512, 0)
  const told = `with volume ${volume} of ${sayBytes(bytes)} all volumes here may grow to ${sayBytes(promised)} together, and the disk has room for ${sayBytes(room)}`
  if (promised > room * overcommit)
    throw new ShadowError('disk-full', told, {
      hint: `ask for a smaller volume, or allow more than ${overcommit} times the room: SHADOW_VOLUME_OVERCOMMIT`,
    })
  if (promised > room)
    log.warn('volumes may grow beyond the disk', { volume, promised: sayBytes(promised), room: sayBytes(room) })
}

async function imagesBeside(folder: string): Promise<readonly { path: string; size: number; blocks: number }[]> {
  const root = dirname(folder)
  const found = await mapAtMost(16, await readdir(root), async name => {
    const path = `${root}/${name}/${IMAGE}`
    const there = await stat(path).catch(() => undefined) // it is being made, or removed
    return there === undefined ? [] : [{ path, size: there.size, blocks: there.blocks }]
  })
  return found.flat()
}

async function onDisk(volume: VolumeId, deed: () => Promise<void>): Promise<void> {
  try {
    await deed()
  } catch (error) {
    const told = error instanceof ExecError ? `${error.stdout}${error.stderr}`.trim() : String(error)
    if (isNoSpace(error) || systemCode(error) === 'EFBIG' || /No space left|File too large/.test(told))
      throw new ShadowError('disk-full', `no space left to make or grow volume ${volume}`, {
        cause: error,
        hint: 'free space on the disk of the data folder (df -h), then try again',
      })
    if (error instanceof ExecError)
      throw new ShadowError('volume-broken', `the filesystem of volume ${volume} cannot be made or grown:\n${told}`, {
        cause: error,
        hint: 'keep a copy of its image, then repair by hand: e2fsck -f',
      })
    throw error
  }
}

async function statIfThere(path: string): Promise<{ size: number } | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
