import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { bootNow } from '../../lib/boot-id.ts'
import type { Log } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { type InstanceId, isInstanceId, logFields } from '../../model/instance-id.ts'

/** `id` null: a container of the instance is being made. `boot`: the boot of this machine in which that was so. */
const Entry = z.object({ id: z.string().nullable(), boot: z.string() })
type Entry = z.output<typeof Entry>

/**
 * The containers that this node has made, in one small file for each instance. Labels alone do not make a container ours: an image
 * committed from our container has its labels, and so do all containers of that image.
 */
export class ContainerRecords {
  readonly #folder: string
  readonly #log: Log
  readonly #entries = new Map<InstanceId, Entry>()
  readonly #mutexes = new KeyedMutex<InstanceId>()
  /** Containers that were made before there were records: those of an older Shadow, which this one takes over. */
  readonly #trustsUnknown: boolean
  readonly #boot = bootNow()

  /** `isUpgrade`: whether a missing folder means an older Shadow, not a fresh one. */
  constructor({ folder, isUpgrade, log }: { folder: string; isUpgrade: boolean; log: Log }) {
    this.#folder = folder
    this.#log = log
    const files = filesIn(folder)
    this.#trustsUnknown = files === undefined && isUpgrade
    for (const file of files ?? []) {
      const instance = file.slice(0, -5)
      if (!file.endsWith('.json') || !isInstanceId(instance)) continue
      const entry = Entry.safeParse(parsed(readFileSync(`${folder}/${file}`, 'utf8')))
      if (entry.success) this.#entries.set(instance, entry.data)
    }
  }

  /** To be called before a container of the instance is made; resolves when that is kept. */
  making(instance: InstanceId): Promise<void> {
    return this.#keep(instance, { id: null, boot: this.#boot })
  }

  made(instance: InstanceId, id: string): void {
    void this.#keep(instance, { id, boot: this.#boot })
  }

  removed(instance: InstanceId, id: string): void {
    if (this.#entries.get(instance)?.id !== id) return
    this.#entries.delete(instance)
    void this.#write(instance, () => rm(this.#file(instance), { force: true }))
  }

  /** Whether a container of the instance's name and labels is one that this node has made. */
  has(instance: InstanceId, { id, running }: { id: string; running: boolean }): boolean {
    const entry = this.#entries.get(instance)
    if (entry === undefined) return this.#trustsUnknown
    if (entry.id === id) return true
    // The last writes before a power cut may be lost. Nothing that we had made runs after it.
    if (entry.boot !== this.#boot) return !running
    return entry.id === null
  }

  #keep(instance: InstanceId, entry: Entry): Promise<void> {
    this.#entries.set(instance, entry)
    return this.#write(instance, async () => {
      const file = this.#file(instance)
      const part = `${file}.part`
      await writeFile(part, JSON.stringify(entry), { mode: 0o600 }).catch(async () => {
        await mkdir(this.#folder, { recursive: true, mode: 0o700 })
        await writeFile(part, JSON.stringify(entry), { mode: 0o600 })
      })
      await rename(part, file) // not synced: it has to outlive this process, and `has` knows of power cuts
    })
  }

  #write(instance: InstanceId, write: () => Promise<void>): Promise<void> {
    return this.#mutexes
      .take(instance, write)
      .catch(cause => this.#log.warn('container record not kept', { ...logFields(instance), cause }))
  }

  #file(instance: InstanceId): string {
    return `${this.#folder}/${instance}.json`
  }
}

function filesIn(folder: string): string[] | undefined {
  try {
    return readdirSync(folder)
  } catch {
    return undefined // none was kept yet
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // a file that a power cut has left empty says nothing
  }
}
