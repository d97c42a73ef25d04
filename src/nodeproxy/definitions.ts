import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import { AppSchema } from '../api/schemas.ts'
import { systemCode } from '../lib/errors.ts'
import { readIfThere, writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import type { Seals } from '../lib/seals.ts'
import { Turns } from '../lib/turn.ts'
import type { App } from '../model/app.ts'
import { type AppName, isAppName } from '../model/names.ts'

const Kept = z.object({ app: AppSchema, etag: z.string().nullable(), permit: z.string().optional() })

/** What is kept of an app: its definition, the version that the master gave it, and the permit that it was read with. */
export type Kept = { readonly app: App; readonly etag: string | null; readonly permit?: string | undefined }

/** A file as it is on the disk: the definition is encrypted. Earlier versions wrote it as it is. */
const Sealed = z.object({ sealed: z.string() })
const contextOf = (app: string): string => `the definition of ${app}`

/**
 * Definitions in files, one for each app, so that a node knows its apps when the master is away. They hold secrets: encrypted with
 * a key of the node's own, so that a copy of the folder is of no use without the key's file.
 */
export class Definitions {
  readonly #folder: string
  readonly #seals: Seals
  readonly #log: Log
  readonly #turns = new Turns<AppName>()
  readonly #writing = new Set<Promise<void>>()

  constructor({ folder, seals, log }: { folder: string; seals: Seals; log: Log }) {
    this.#folder = folder
    this.#seals = seals
    this.#log = log
  }

  /** All that can be read; a file that cannot is told of and left alone. Fails where the folder cannot: what runs would be nobody's. */
  async all(): Promise<readonly Kept[]> {
    const files = await readdir(this.#folder).catch(noneYet)
    const found: Kept[] = []
    for (const file of files) {
      if (!file.endsWith('.json') || !isAppName(file.slice(0, -5))) continue
      try {
        found.push(this.#read(file.slice(0, -5), JSON.parse((await readIfThere(`${this.#folder}/${file}`)) ?? '')))
      } catch (cause) {
        this.#log.warn('kept definition is not readable', { file, cause })
      }
    }
    return found
  }

  #read(app: string, document: unknown): Kept {
    const stored = Sealed.safeParse(document)
    if (stored.success) return Kept.parse(JSON.parse(this.#seals.open(stored.data.sealed, contextOf(app))))
    const kept = Kept.parse(document)
    this.keep(kept) // an earlier version wrote it in clear
    return kept
  }

  /** Keeps it, behind the back of whoever waits for the app. */
  keep(kept: Kept): void {
    const { name } = kept.app
    const sealed = this.#seals.seal(JSON.stringify(kept), contextOf(name))
    this.#behind(name, () => writeWhole(this.#file(name), `${JSON.stringify({ sealed })}\n`))
  }

  forget(app: AppName): void {
    this.#behind(app, () => rm(this.#file(app), { force: true }))
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #behind(app: AppName, deed: () => Promise<void>): void {
    const writing: Promise<void> = this.#turns
      .take(app, deed)
      .catch(cause => this.#log.warn('definition not kept', { app, cause }))
      .finally(() => this.#writing.delete(writing))
    this.#writing.add(writing)
  }

  #file(app: AppName): string {
    return `${this.#folder}/${app}.json`
  }
}

function noneYet(error: unknown): string[] {
  if (systemCode(error) === 'ENOENT') return []
  throw error
}
