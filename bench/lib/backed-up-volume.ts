import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { type BackupWorld, backupWorld } from '../../src/testing/backup-world.ts'
import { resticHere } from '../../src/testing/restic.ts'
import { randomOf } from './random.ts'

export const MIB = 2 ** 20
export const VOLUME = 1_024 * MIB
export const DATA = 300 * MIB
/** One percent of the volume. */
export const CHANGED = 10 * MIB

/** A volume of 1 GiB with random data, whose app is asleep, a node with restic, a master over HTTP and a store in a directory. */
export type BackedUpVolume = AsyncDisposable & {
  readonly world: BackupWorld
  readonly app: Parameters<BackupWorld['image']>[0]
  backUp(): Promise<{ ms: number; addedBytes: number }>
  /** Overwrites one percent of the volume, in pieces of this size that do not overlap, at places that look random. */
  change(piece: number): Promise<void>
}

export async function backedUpVolume(): Promise<BackedUpVolume> {
  const restic = resticHere()
  if (restic === undefined)
    throw new Error('no restic on the PATH or in the cache folder: contrib/dev/find-restic --make')
  const random = randomOf(1)
  const world = await backupWorld(restic, { imageBytes: VOLUME })
  const app = await world.app('blog')

  async function scatter(bytes: number, piece: number): Promise<void> {
    await using file = await open(world.image(app), 'r+')
    const places = new Set<number>()
    const slots = Math.floor(DATA / piece)
    while (places.size < Math.min(slots, bytes / piece)) places.add(Math.floor(random() * slots))
    // Behind the tables of the filesystem, so that a restore finds it whole.
    for (const slot of places)
      for (let done = 0; done < piece; done += MIB) {
        const chunk = randomBytes(Math.min(MIB, piece - done))
        await file.write(chunk, 0, chunk.length, 64 * MIB + slot * piece + done)
      }
    await file.sync()
  }

  await scatter(DATA, MIB)
  return {
    world,
    app,
    async backUp() {
      const began = performance.now()
      const { addedBytes } = await world.backups.backUp(app, 'scheduled', new AbortController().signal)
      return { ms: performance.now() - began, addedBytes }
    },
    change: piece => scatter(CHANGED, piece),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}
