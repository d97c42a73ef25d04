import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { type VolumeId, volumeId } from '../../../model/names.ts'

/** Times are by the machine's monotonic clock, which all its processes share, in milliseconds. It begins anew with each boot. */
const EntrySchema = z.object({ fenceAt: z.number(), endsAt: z.number(), boot: z.string() })
export type Entry = z.output<typeof EntrySchema> & { readonly volume: VolumeId }

export const monotonicNow = (): number => Number(process.hrtime.bigint() / 1_000_000n)

/** The leases that the guard process watches, one small file for each in the folder: they outlive both processes. */
export function guardedLeases(folder: string) {
  const file = (volume: VolumeId): string => `${folder}/${volume}.json`

  const read = async (volume: VolumeId): Promise<Entry | undefined> => {
    const text = await readFile(file(volume), 'utf8').catch(() => '') // it was removed meanwhile
    const found = text === '' ? undefined : EntrySchema.safeParse(JSON.parse(text))
    return found?.success ? { volume, ...found.data } : undefined
  }

  return {
    read,

    async put({ volume, ...times }: Entry): Promise<void> {
      const part = `${file(volume)}.part`
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeFile(part, JSON.stringify(times), { mode: 0o600 })
      await rename(part, file(volume))
    },

    /** Makes this process the guard: one that has lost its node leaves the watch to it. */
    async takeOver(): Promise<void> {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeFile(`${folder}/guard.pid`, String(process.pid), { mode: 0o600 })
    },

    /** Whether another process has become the guard since, and runs. */
    async isTakenOver(): Promise<boolean> {
      const pid = Number(await readFile(`${folder}/guard.pid`, 'utf8').catch(() => process.pid))
      return pid > 0 && pid !== process.pid && existsSync(`/proc/${pid}`)
    },

    remove: (volume: VolumeId): Promise<void> => rm(file(volume), { force: true }),

    async list(): Promise<readonly Entry[]> {
      const names = await readdir(folder).catch(() => []) // no lease was taken yet
      const volumes = names.filter(name => name.endsWith('.json')).map(name => volumeId(name.slice(0, -5)))
      return (await Promise.all(volumes.map(read))).flatMap(entry => entry ?? [])
    },
  }
}
