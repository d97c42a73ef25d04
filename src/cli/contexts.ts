import { dirname } from 'node:path'
import { Low } from 'lowdb'
import { ShadowError } from '../lib/errors.ts'
import { makeFolder, readIfThere, writeWhole } from '../lib/files.ts'
import { nearest } from '../lib/nearest.ts'

/**
 * One master: its URL, a token for it, the CA (PEM) if it is the master of a cluster, and the URL of its front, which is only used to print
 * URLs of apps.
 */
type Context = {
  readonly url: string
  readonly token: string
  readonly ca?: string | undefined
  readonly front?: string | undefined
}

type Stored = { current: string | null; contexts: Readonly<Record<string, Context>> }

// A write takes milliseconds. Several processes that write at once wait for each other.
const WRITE_WITHIN_MS = 30_000

/** Opens the file of contexts, which only its user can read. A missing file counts as one without contexts. */
export async function openContexts(file: string): Promise<Contexts> {
  const read = async (): Promise<Stored | null> => {
    const text = await readIfThere(file)
    return text === undefined ? null : parsed(file, text)
  }
  const write = (data: Stored): Promise<void> => writeWhole(file, `${JSON.stringify(data, null, 2)}\n`)
  const db = new Low<Stored>({ read, write }, { current: null, contexts: {} })
  await db.read()
  return new Contexts(db, file)
}

/** The masters that this user has saved. Commands call the current one unless they name another. */
class Contexts {
  readonly #db: Low<Stored>
  readonly #file: string

  constructor(db: Low<Stored>, file: string) {
    this.#db = db
    this.#file = file
  }

  get current(): string | null {
    return this.#db.data.current
  }

  list(): readonly (Context & { name: string })[] {
    return Object.entries(this.#db.data.contexts).map(([name, context]) => ({ name, ...context }))
  }

  /** The context of this name; fails with `not-found`. */
  get(name: string): Context {
    const context = Object.hasOwn(this.#db.data.contexts, name) ? this.#db.data.contexts[name] : undefined
    if (context !== undefined) return context
    const near = nearest(name, Object.keys(this.#db.data.contexts))
    throw new ShadowError('not-found', `there is no context "${name}"`, {
      hint: near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'shadow context ls',
    })
  }

  /** Saves the context. The first context becomes the current one. */
  async add(name: string, context: Context): Promise<void> {
    await this.#change(data => {
      // Not by assignment, which would set the prototype for the name "__proto__".
      data.contexts = Object.fromEntries([...Object.entries(data.contexts), [name, context]])
      data.current ??= name
    })
  }

  async use(name: string): Promise<void> {
    await this.#change(data => {
      this.get(name)
      data.current = name
    })
  }

  /** Removes the context. If it was the current one, there is no current one afterwards. */
  async remove(name: string): Promise<void> {
    await this.#change(data => {
      this.get(name)
      data.contexts = Object.fromEntries(Object.entries(data.contexts).filter(([one]) => one !== name))
      if (data.current === name) data.current = null
    })
  }

  /** Reads the file again and changes it under a lock that all processes of this user share. */
  async #change(change: (data: Stored) => void): Promise<void> {
    const { ProcessMutex } = await import('../lib/process-mutex.ts')
    await makeFolder(dirname(this.#file))
    const turn = new ProcessMutex(`${this.#file}.lock`, { withinMs: WRITE_WITHIN_MS })
    try {
      await turn.take(async () => {
        await this.#db.read()
        await this.#db.update(change)
      })
    } finally {
      await turn.close()
    }
  }
}

function parsed(file: string, text: string): Stored {
  try {
    const { current, contexts } = JSON.parse(text)
    return { current: current ?? null, contexts: { ...contexts } }
  } catch (cause) {
    throw new ShadowError('bad-input', `${file} is not JSON`, { cause, hint: `mend it or remove it: ${file}` })
  }
}
