import { appendFile, open, rename, rm, stat } from 'node:fs/promises'
import { systemCode } from '../../lib/errors.ts'

const CHUNK = 64 * 1024
const NEWLINE = 0x0a

/**
 * Lines of text in two files, `<base>.ndjson` and the older `<base>.1.ndjson`, together at most `maxBytes`. When the first has half of
 * that, it replaces the older one. Not for callers at the same time. A line that a crash cut off is returned as it is.
 */
export class Segments {
  readonly #current: string
  readonly #older: string
  readonly #most: number
  #size: number | undefined

  constructor({ base, maxBytes }: { base: string; maxBytes: number }) {
    this.#current = `${base}.ndjson`
    this.#older = `${base}.1.ndjson`
    this.#most = Math.floor(maxBytes / 2)
  }

  /** Adds as many of the lines as go into one write, and answers how many; at least one. */
  async append(lines: readonly string[]): Promise<number> {
    let size = this.#size ?? (await this.#open())
    this.#size = undefined // unknown, until the write has succeeded whole
    if (size > 0 && size + bytesOf(lines[0] ?? '') > this.#most) {
      await rename(this.#current, this.#older)
      size = 0
    }
    const taken: string[] = []
    for (const line of lines) {
      if (taken.length > 0 && size + bytesOf(line) > this.#most) break
      taken.push(`${line}\n`)
      size += bytesOf(line)
    }
    await appendFile(this.#current, taken.join(''), { mode: 0o600 })
    this.#size = size
    return taken.length
  }

  /** All lines, the newest first. */
  async *backwards(): AsyncGenerator<string> {
    yield* linesBackwards(this.#current)
    yield* linesBackwards(this.#older)
  }

  async remove(): Promise<void> {
    this.#size = undefined
    await Promise.all([rm(this.#current, { force: true }), rm(this.#older, { force: true })])
  }

  /** The size of the current file, after its last line, if torn, has been ended. */
  async #open(): Promise<number> {
    const { size } = await stat(this.#current).catch(nothingThere)
    if (size === 0) return 0
    await using file = await open(this.#current, 'r+')
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
    if (buffer[0] === NEWLINE) return size
    await file.write('\n', size)
    return size + 1
  }
}

const bytesOf = (line: string): number => Buffer.byteLength(line) + 1

function nothingThere(error: unknown): { size: number } {
  if (systemCode(error) === 'ENOENT') return { size: 0 }
  throw error
}

async function* linesBackwards(path: string): AsyncGenerator<string> {
  const file = await open(path, 'r').catch(error => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return
  await using _ = file
  let end = (await file.stat()).size
  let begun: Buffer[] = [] // the pieces of a line whose beginning is not read yet, in their order
  while (end > 0) {
    const from = Math.max(0, end - CHUNK)
    const { buffer } = await file.read(Buffer.alloc(end - from), 0, end - from, from)
    let right = buffer.length
    for (let at = buffer.lastIndexOf(NEWLINE); at >= 0; at = at === 0 ? -1 : buffer.lastIndexOf(NEWLINE, at - 1)) {
      const line = Buffer.concat([buffer.subarray(at + 1, right), ...begun])
      if (line.length > 0) yield line.toString()
      begun = []
      right = at
    }
    begun.unshift(buffer.subarray(0, right))
    end = from
  }
  const first = Buffer.concat(begun)
  if (first.length > 0) yield first.toString()
}
