import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import { AppSchema } from '../api/schemas.ts'
import { systemCode } from '../lib/errors.ts'
import { readIfThere, writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import { Turns } from '../lib/turn.ts'
import type { App } from '../model/app.ts'
import { type AppName, isAppName } from '../model/names.ts'

const Kept = z.object({ app: AppSchema, etag: z.string().nullable() })

/** What is kept of an app: its definition, and the version that the master gave it. */
export type Kept = { readonly app: App; readonly etag: string | null }

/** Definitions in files, one for each app, so that a node knows its apps when the master is away. They hold secrets: 0600. */
export class Definitions {
  readonly #folder: string
  readonly #log: Log
  readonly #turns = new Turns<AppName>()
  readonly #writing = new Set<Promise<void>>()

  constructor({ folder, log }: { folder: string; log: Log }) {
    this.#folder = folder
    this.#log = log
  }

  /** All that can be read; a file that cannot is told of and left alone. Fails where the folder cannot: what runs would be nobody's. */
  async all(): Promise<readonly Kept[]> {
    const files = await readdir(this.#folder).catch(noneYet)
    const found: Kept[] = []
    for (const file of files) {
      if (!file.endsWith('.json') || !isAppName(file.slice(0, -5))) continue
      const kept = Kept.safeParse(parsed(await readIfThere(`${this.#folder}/${file}`)))
      if (kept.success) found.push(kept.data)
      else this.#log.warn('kept definition is not readable', { file, cause: kept.error })
    }
    return found
  }

  /** Keeps it, behind the back of whoever waits for the app. */
  keep(kept: Kept): void {
    const { name } = kept.app
    this.#behind(name, () => writeWhole(this.#file(name), `${JSON.stringify(kept)}\n`))
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

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined // told of as not readable
  }
}
