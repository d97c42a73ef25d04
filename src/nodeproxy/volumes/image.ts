import { randomUUID } from 'node:crypto'
import { link, open, readdir, rm, stat, statfs, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { isNoSpace, makeFolder, syncFolder } from '../../lib/files.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import { BLOCK, checkFilesystem, growFilesystem, makeFilesystem } from './filesystem.ts'

const PART = 'making-'

type Wanted = {
  readonly image: string
  readonly volume: VolumeId
  readonly sizeBytes: number
  readonly release: () => Promise<void>
  readonly exec: Exec
}

/**
 * Makes the image with an empty ext4 filesystem where there is none, or grows it where it is smaller; `release` lets go of
 * the image before it is grown. An image has its name only when it is whole and synced, and its name is never given again.
 */
export async function makeOrGrow({ image, volume, sizeBytes, release, exec }: Wanted): Promise<void> {
  const wanted = Math.ceil(sizeBytes / BLOCK) * BLOCK
  const there = await statIfThere(image)
  if (there === undefined) return make(image, volume, wanted, exec)
  if (there.size > wanted)
    throw new ShadowError(
      'bad-input',
      `volume ${volume} is ${sayBytes(there.size)} and cannot shrink to ${sayBytes(sizeBytes)}`,
      { hint: `ask for ${sayBytes(there.size)} or more` },
    )
  if (there.size === wanted && (await statIfThere(growing(image))) === undefined) return
  await release()
  await grow(image, volume, wanted, exec)
}

async function make(image: string, volume: VolumeId, bytes: number, exec: Exec): Promise<void> {
  const folder = dirname(image)
  await makeFolder(folder)
  await assertRoom(folder, volume, bytes)
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
  await assertRoom(dirname(image), volume, bytes)
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

/** A sparse file may be larger than what is free now, but one larger than the whole disk is a mistake. */
async function assertRoom(folder: string, volume: VolumeId, bytes: number): Promise<void> {
  const disk = await statfs(folder)
  const total = disk.blocks * disk.bsize
  if (bytes <= total) return
  throw new ShadowError(
    'disk-full',
    `volume ${volume} of ${sayBytes(bytes)} does not fit on a disk of ${sayBytes(total)}`,
    { hint: 'ask for a smaller volume, or use a larger disk for the data folder' },
  )
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
