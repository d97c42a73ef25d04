import { randomUUID } from 'node:crypto'
import { link, open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isNoSpace, ShadowError, systemCode } from '../../lib/errors.ts'
import { type Exec, ExecError } from '../../lib/exec.ts'
import { makeFolder, syncFolder } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { Format } from './block-driver.ts'
import { copyImage } from './image-copy.ts'
import { IMAGE } from './layout.ts'

export const USUAL_OVERCOMMIT = 10

/** Begins the names of images that are not whole yet. */
export const PART = 'making-'
/** Images are a whole number of these: a filesystem has no part of a block. */
const BLOCK = 4096

type Wanted = {
  readonly image: string
  readonly volume: VolumeId
  readonly sizeBytes: number
  /** How many times the room on the disk all volumes may be promised together. */
  readonly overcommit: number
  readonly log: Log
}

/** Removes what killed runs have left half-made in the folder: files whose names begin with the prefix. */
export async function removeParts(folder: string, prefix = PART): Promise<void> {
  for (const name of await readdir(folder)) if (name.startsWith(prefix)) await rm(`${folder}/${name}`, { force: true })
}

/** What a new image begins with: a filesystem, or the bytes of the image that `copyOf` finds. */
type Content = { readonly format: Format } | { readonly copyOf: () => Promise<string>; readonly exec: Exec }

/** Makes the image, where there is none. An image has its name only when it is whole and synced. */
export async function makeImage(wanted: Wanted, content: Content): Promise<void> {
  const { image, volume, sizeBytes } = wanted
  if ((await sizeIfThere(image)) !== undefined) return
  const folder = dirname(image)
  await makeFolder(folder)
  const source = 'copyOf' in content ? await content.copyOf() : undefined
  const bytes = Math.max(wholeBlocks(sizeBytes), source === undefined ? 0 : (await stat(source)).size)
  await assertRoom(wanted, bytes)
  await removeParts(folder)
  // Each try has a name of its own: the mkfs of a killed run may still be writing to the last one's.
  const part = `${folder}/${PART}${randomUUID()}`
  try {
    await onDisk(volume, async () => {
      if ('copyOf' in content && source !== undefined)
        await copyImage({ exec: content.exec, from: source, to: part, full: cause => noSpace(volume, cause) })
      await using file = await open(part, source === undefined ? 'wx' : 'r+', 0o600)
      await file.truncate(bytes)
      if ('format' in content) await content.format(part)
      await file.sync()
    })
    await link(part, image) // rename would replace an image that is there
  } finally {
    await rm(part, { force: true })
  }
  await syncFolder(folder)
  await syncFolder(dirname(folder))
}

/** Makes the image larger, where it is smaller; `release` detaches it first. Fails with `bad-input`, `disk-full`, `not-found`. */
export async function growImage(wanted: Wanted, release: () => Promise<void>): Promise<void> {
  const { image, volume, sizeBytes } = wanted
  const bytes = await sizeIfThere(image)
  if (bytes === undefined) throw noSuchVolume(volume)
  const wantedBytes = wholeBlocks(sizeBytes)
  if (bytes > wantedBytes)
    throw new ShadowError(
      'bad-input',
      `volume ${volume} is ${sayBytes(bytes)} and cannot shrink to ${sayBytes(sizeBytes)}`,
      { hint: `ask for ${sayBytes(bytes)} or more` },
    )
  if (bytes === wantedBytes) return
  await assertRoom(wanted, wantedBytes)
  await release()
  await onDisk(volume, async () => {
    await using file = await open(image, 'r+')
    await file.truncate(wantedBytes)
    await file.sync()
  })
}

const noSpace = (volume: VolumeId, cause: unknown): ShadowError =>
  new ShadowError('disk-full', `no space left to make or grow volume ${volume}`, {
    cause,
    hint: 'free space on the disk of the data folder (df -h), then try again',
  })

export const noSuchVolume = (volume: VolumeId): ShadowError =>
  new ShadowError('not-found', `this machine has no volume ${volume}`)

const wholeBlocks = (bytes: number): number => Math.ceil(bytes / BLOCK) * BLOCK

/**
 * A sparse file may be larger than the free space, but one larger than the whole disk is a mistake. The sum of what all
 * volumes may grow to is bounded too; a warning is logged where it exceeds the room on the disk.
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
  const detail = `with volume ${volume} of ${sayBytes(bytes)} all volumes here may grow to ${sayBytes(promised)} together, and the disk has room for ${sayBytes(room)}`
  if (promised > room * overcommit)
    throw new ShadowError('disk-full', detail, {
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

async function onDisk(volume: VolumeId, task: () => Promise<void>): Promise<void> {
  try {
    await task()
  } catch (error) {
    const output = error instanceof ExecError ? `${error.stdout}${error.stderr}`.trim() : String(error)
    if (isNoSpace(error) || systemCode(error) === 'EFBIG' || /No space left|File too large/.test(output))
      throw noSpace(volume, error)
    if (error instanceof ExecError)
      throw new ShadowError('volume-broken', `the filesystem of volume ${volume} cannot be made:\n${output}`, {
        cause: error,
      })
    throw error
  }
}

async function sizeIfThere(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
