import { rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder } from '../lib/files.ts'
import type { VolumeId } from '../model/names.ts'
import { FakeVolumes } from './fake-volumes.ts'

/** The driver in memory, with images that are files. */
export class FileVolumes extends FakeVolumes {
  readonly #folder: string

  constructor(folder: string) {
    super()
    this.#folder = folder
  }

  override file(volume: VolumeId): string {
    return join(this.#folder, volume, 'image.ext4')
  }

  override async create(volume: VolumeId, sizeBytes: number): Promise<void> {
    this.made.set(volume, sizeBytes)
    if (await this.has(volume)) return
    await makeFolder(dirname(this.file(volume)))
    await writeFile(this.file(volume), 'an empty volume')
  }

  override async remove(volume: VolumeId): Promise<void> {
    await super.remove(volume)
    await rm(dirname(this.file(volume)), { recursive: true, force: true })
  }

  has(volume: VolumeId): Promise<boolean> {
    return stat(this.file(volume)).then(
      () => true,
      () => false,
    )
  }
}
