import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, type FileHandle, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Exec } from '../../../lib/exec.ts'
import type { Log } from '../../../lib/log.ts'
import { SealedFiles } from '../../../lib/sealed-files.ts'
import type { Seals } from '../../../lib/seals.ts'
import { FIFO_FILE, GATE_FILE } from './gate-program.ts'

/** The folder of a gate on this machine, and its name, which a label of its container has. */
export type Gate = { readonly name: string; readonly folder: string }

// Docker answers a moment before the gate has opened its FIFO.
const READ_WITHIN_MS = 1_000
// It takes the place of the first FIFO once the gate has opened that one, so that a reader of it is a gate that waits again.
const AGAIN = 'again'

const OpenedSchema = z.object({ at: z.iso.datetime(), env: z.array(z.string()).readonly() })
/** What is kept of a gate that was opened. `env`: the variables of the definition, as `NAME=value`. */
type Opened = z.infer<typeof OpenedSchema>

type Options = {
  readonly folder: string
  /** The variables of definitions, which may be secrets, are kept encrypted. */
  readonly seals: Seals
  readonly exec: Exec
  readonly log: Log
}

/** The folders that are mounted into parked containers, one for each: the program that waits, and the FIFO by which it is told to go on. */
export class Gates {
  readonly #folder: string
  readonly #exec: Exec
  /** The gates that were opened, by their names. */
  readonly #opened: SealedFiles<string, Opened>
  #openedBefore: Promise<ReadonlyMap<string, Opened>> | undefined

  constructor({ folder, seals, exec, log }: Options) {
    this.#folder = folder
    this.#exec = exec
    this.#opened = new SealedFiles({
      ...{ folder, seals, log },
      what: 'opened gate',
      contextOf: name => `the gate ${name}`,
      isName: isGateName,
      parse: document => OpenedSchema.parse(document),
    })
  }

  async make(program: Buffer): Promise<Gate> {
    const gate = this.named(randomBytes(8).toString('hex'))
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await mkdir(gate.folder)
    await chmod(gate.folder, 0o755) // any user of the container may be the one who opens it
    await writeFile(`${gate.folder}/${GATE_FILE}`, program, { mode: 0o755 })
    await chmod(`${gate.folder}/${GATE_FILE}`, 0o755)
    await this.#exec('mkfifo', ['--mode=644', `${gate.folder}/${FIFO_FILE}`, `${gate.folder}/${AGAIN}`])
    return gate
  }

  named(name: string): Gate {
    return { name, folder: `${this.#folder}/${name}` }
  }

  /**
   * Sends the gate its message, all of which it has got when this resolves. If this fails, the gate has run nothing of the message. `env`: the variables
   * of the definition, for `opened`.
   */
  async open({ name, folder }: Gate, message: Buffer, env: readonly string[]): Promise<void> {
    const until = performance.now() + READ_WITHIN_MS
    const fifo = await opened(`${folder}/${FIFO_FILE}`, until)
    try {
      await rename(`${folder}/${AGAIN}`, `${folder}/${FIFO_FILE}`)
      for (let at = 0; at < message.length; ) at += await written(fifo, message.subarray(at), until)
    } finally {
      await fifo.close()
    }
    // For a node that is started again: the container ran as an app's from here on.
    this.#opened.keep(name, { at: new Date().toISOString(), env })
  }

  /** Whether a gate that was opened waits for another message, since it could not run the program of the first one. */
  async waitsAgain({ folder }: Gate): Promise<boolean> {
    try {
      await (await open(`${folder}/${FIFO_FILE}`, constants.O_WRONLY | constants.O_NONBLOCK)).close()
      return true
    } catch (error) {
      if (codeOf(error) !== 'ENXIO') throw error
      return false
    }
  }

  /** What an earlier run of the node has kept of a gate that it opened; undefined: it did not, or was killed before that was written. */
  async opened(name: string): Promise<Opened | undefined> {
    this.#openedBefore ??= this.#opened.all().then(all => new Map(all))
    return (await this.#openedBefore).get(name)
  }

  async remove({ name, folder }: Gate): Promise<void> {
    await rm(folder, { recursive: true, force: true })
    this.#opened.forget(name)
  }

  /** Removes all others: an earlier run of the node has left them. */
  async keepOnly(names: ReadonlySet<string>): Promise<void> {
    const found = await readdir(this.#folder).catch(() => []) // there was none yet
    for (const file of found) {
      const name = file.replace(/\.json$/, '')
      if (!names.has(name)) await this.remove(this.named(name))
    }
  }

  /** Resolves when all that is kept of gates is written. */
  flush(): Promise<void> {
    return this.#opened.flush()
  }
}

const isGateName = (text: string): text is string => /^[0-9a-f]{16}$/.test(text)

/** Opens a FIFO to write, once somebody reads it. */
async function opened(path: string, until: number): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(path, constants.O_WRONLY | constants.O_NONBLOCK)
    } catch (error) {
      if (codeOf(error) !== 'ENXIO' || performance.now() > until) throw error
      await sleep(1)
    }
  }
}

/** How many of the bytes were written. None, if the gate has not read yet what fills the FIFO. */
async function written(fifo: FileHandle, bytes: Buffer, until: number): Promise<number> {
  try {
    return (await fifo.write(bytes)).bytesWritten
  } catch (error) {
    if (codeOf(error) !== 'EAGAIN' || performance.now() > until) throw error
    await sleep(1)
    return 0
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code
