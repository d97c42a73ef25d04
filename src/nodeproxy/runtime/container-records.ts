import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { bootNow } from '../../lib/boot-id.ts'
import type { Log } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { Egress } from '../../model/egress.ts'
import { isRunKey, type RunKey } from '../../model/instance-id.ts'

/**
 * `id` null: a container with this key is being made. `boot`: the boot of this machine in which that was so. `egress`: what the container may reach,
 * if that was changed since it was made; its labels say what it was made with.
 */
const Entry = z.object({ id: z.string().nullable(), boot: z.string(), egress: z.array(z.string()).optional() })
type Entry = z.output<typeof Entry>

/**
 * The containers that this node has made, in one small file for each key. Labels alone do not make a container ours: an image
 * committed from our container has its labels, and so do all containers of that image.
 */
export class ContainerRecords {
  readonly #folder: string
  readonly #log: Log
  readonly #entries = new Map<RunKey, Entry>()
  readonly #mutexes = new KeyedMutex<RunKey>()
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
      const key = file.slice(0, -5)
      if (!file.endsWith('.json') || !isRunKey(key)) continue
      const entry = Entry.safeParse(parsed(readFileSync(`${folder}/${file}`, 'utf8')))
      if (entry.success) this.#entries.set(key, entry.data)
    }
  }

  /** To be called before a container with this key is made; resolves when that is kept. */
  making(key: RunKey): Promise<void> {
    return this.#keep(key, { id: null, boot: this.#boot })
  }

  /** Resolves when that is kept. */
  made(key: RunKey, id: string): Promise<void> {
    return this.#keep(key, { id, boot: this.#boot })
  }

  /** Keeps what the container may reach from now on; resolves when that is on the disk. */
  async changeEgress(key: RunKey, id: string, egress: readonly Egress[]): Promise<void> {
    const entry = { id, boot: this.#boot, egress: [...egress] }
    this.#entries.set(key, entry)
    await this.#mutexes.take(key, () => this.#writeEntry(key, entry))
  }

  /** What the container may reach, if that was changed since it was made. */
  egressOf(key: RunKey, id: string): readonly Egress[] | undefined {
    const entry = this.#entries.get(key)
    return entry?.id === id ? (entry.egress as readonly Egress[] | undefined) : undefined
  }

  removed(key: RunKey, id: string): void {
    if (this.#entries.get(key)?.id !== id) return
    this.#entries.delete(key)
    void this.#write(key, () => rm(this.#file(key), { force: true }))
  }

  /** Whether a container with the name and labels of this key is one that this node has made. */
  has(key: RunKey, { id, running }: { id: string; running: boolean }): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#trustsUnknown
    if (entry.id === id) return true
    // The last writes before a power cut may be lost. Nothing that we had made runs after it.
    if (entry.boot !== this.#boot) return !running
    return entry.id === null
  }

  #keep(key: RunKey, entry: Entry): Promise<void> {
    this.#entries.set(key, entry)
    return this.#write(key, () => this.#writeEntry(key, entry))
  }

  async #writeEntry(key: RunKey, entry: Entry): Promise<void> {
    const file = this.#file(key)
    const part = `${file}.part`
    await writeFile(part, JSON.stringify(entry), { mode: 0o600 }).catch(async () => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await writeFile(part, JSON.stringify(entry), { mode: 0o600 })
    })
    await rename(part, file) // not synced: it has to outlive this process, and `has` knows of power cuts
  }

  #write(key: RunKey, write: () => Promise<void>): Promise<void> {
    return this.#mutexes
      .take(key, write)
      .catch(cause => this.#log.warn('container record not kept', { container: key, cause }))
  }

  #file(key: RunKey): string {
    return `${this.#folder}/${key}.json`
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
