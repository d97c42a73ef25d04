import { Readable } from 'node:stream'
import { ShadowError } from '../../lib/errors.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf, statusOf } from './failures.ts'
import type { Container, FileAt } from './runtime.ts'

/** Bits of a mode as Go has it (io/fs), in which Docker tells it. */
const GO_DIR = 2 ** 31
const GO_SYMLINK = 2 ** 27
const GO_OTHER = [2 ** 26, 2 ** 25, 2 ** 24, 2 ** 21, 2 ** 19]

/**
 * Files in containers, by Docker's archive calls. Docker makes the files of the container its root before it resolves a path, so no link of the app
 * leads to a file of the machine. (To go by `/proc/PID/root` would follow an absolute link out of the container.)
 */
export class DockerFiles {
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** What is at the path; undefined where nothing is. */
  async stat(container: Container, path: string, signal: AbortSignal): Promise<FileAt | undefined> {
    const answer = await this.#engine
      .ask(docker => docker.getContainer(container.id).infoArchive({ path }))
      .catch(unlessStatus(404))
    if (answer === undefined) return undefined
    const { headers } = answer as unknown as { headers: Record<string, string> }
    const { name, size, mode } = JSON.parse(
      Buffer.from(headers['x-docker-container-path-stat'] ?? '', 'base64').toString(),
    ) as { name: string; size: number; mode: number }
    const has = (bit: number): boolean => Math.floor(mode / bit) % 2 === 1
    const kind = has(GO_DIR) ? 'folder' : has(GO_SYMLINK) ? 'link' : GO_OTHER.some(has) ? 'other' : 'file'
    return { kind, name, size, ...(await this.#ownerOf(container, path, signal)) }
  }

  /** A file or folder as a tar. Fails with `not-found`. */
  async *read(container: Container, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const call = { path: `/containers/${encodeURIComponent(container.id)}/archive?`, options: { path } }
    try {
      yield* this.#engine.stream({ method: 'GET', ...call }, signal)
    } catch (error) {
      throw statusOf(error) === 404 ? noSuchPath(container, path) : error
    }
  }

  /** Unpacks a tar into a folder. Fails with `not-found`, `bad-input`, `disk-full`. */
  async write(container: Container, path: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const stream = Readable.from(tar, { objectMode: false })
    const leave = (): void => void stream.destroy(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    let isSent = false
    try {
      await this.#engine.ask(docker => {
        // What was read of the stream is gone: a second try would unpack the rest alone.
        if (isSent)
          throw new ShadowError('runtime-unreachable', 'the connection to Docker broke while files were copied')
        isSent = true
        return docker.getContainer(container.id).putArchive(stream, { path, noOverwriteDirNonDir: '1' })
      })
    } catch (error) {
      signal.throwIfAborted()
      const message = messageOf(error)
      if (/no space left|disk quota/i.test(message))
        throw new ShadowError('disk-full', `no space left at ${path} of ${container.app}`, { cause: error })
      if (statusOf(error) === 404) throw noSuchPath(container, path)
      const status = statusOf(error) ?? 0
      if (status >= 400) throw new ShadowError('bad-input', `${path} of ${container.app}: ${message}`, { cause: error })
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
      stream.destroy()
    }
  }

  /** From the first header of its tar: Docker tells no owner otherwise. */
  async #ownerOf(container: Container, path: string, signal: AbortSignal): Promise<{ uid: number; gid: number }> {
    const pieces: Buffer[] = []
    for await (const piece of this.read(container, path, signal)) {
      pieces.push(piece)
      if (pieces.reduce((sum, { length }) => sum + length, 0) >= HEADER) break
    }
    const header = Buffer.concat(pieces)
    return { uid: octal(header, 108), gid: octal(header, 116) }
  }
}

const HEADER = 512

/** A number of a tar header; 0 for one that is too large for it, or no header at all. */
function octal(header: Buffer, at: number): number {
  const text = header.toString('latin1', at, at + 8).replace(/[\0 ]+$/, '')
  return /^[0-7]{1,7}$/.test(text) ? Number.parseInt(text, 8) : 0
}

const noSuchPath = ({ app }: Container, path: string): ShadowError =>
  new ShadowError('not-found', `there is no ${path} in the container of ${app}`)
