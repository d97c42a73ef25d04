import { type FileHandle, open as openFile, statfs } from 'node:fs/promises'
import { posix } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'
import type { OpenSession } from './open-session.ts'

/** What `stat` says of a file. */
export type FileFacts = {
  readonly mode: number
  readonly size: number
  readonly uid: number
  readonly gid: number
  readonly atime: number
  readonly mtime: number
}
/** A command in the container that failed: its exit code and what it wrote to stderr. */
export class FilesError extends Error {
  override name = 'FilesError'
}

const MOST_SAID_BYTES = 4 * 2 ** 20
const MOST_ERROR_BYTES = 4_096
const MOST_FILE_BYTES = 4 * 2 ** 30
/** The disk of the master keeps so much free. */
const FLOOR_BYTES = 512 * 2 ** 20
const PIECE = 65_536
const FORMAT = '%f %s %u %g %X %Y'

/** The files of a container, by its own shell and tools (busybox or coreutils). Whole files go through a file of this machine. */
export class ContainerFiles {
  readonly #open: OpenSession
  readonly #signal: AbortSignal
  #folder: Promise<string> | undefined

  constructor(open: OpenSession, signal: AbortSignal) {
    this.#open = open
    this.#signal = signal
  }

  /** The absolute path; a relative one begins where commands of the container begin. */
  async resolve(path: string): Promise<string> {
    if (path.startsWith('/')) return posix.normalize(path)
    this.#folder ??= this.#run('pwd').then(said => said.trimEnd())
    return posix.resolve(await this.#folder, path)
  }

  async stat(path: string, follow: boolean): Promise<FileFacts> {
    const [facts] = parsed(await this.#run(`stat ${follow ? '-L ' : ''}-c '${FORMAT} %n' -- "$1"`, path))
    if (facts === undefined) throw new FilesError(`${path}: stat said nothing`)
    return facts
  }

  /** What is in the folder; names with line breaks are left out. */
  async list(path: string): Promise<readonly (FileFacts & { readonly name: string })[]> {
    // A pattern that matches nothing stands for itself, and stat fails for it alone.
    return parsed(await this.#run(`cd -- "$1" && { stat -c '${FORMAT} %n' -- .* * 2> /dev/null; true; }`, path))
  }

  async makeFolder(path: string): Promise<void> {
    await this.#run('mkdir -- "$1"', path)
  }

  async removeFile(path: string): Promise<void> {
    await this.#run('[ ! -d "$1" ] || [ -L "$1" ] || { echo "Is a directory" >&2; exit 1; }; rm -- "$1"', path)
  }

  async removeFolder(path: string): Promise<void> {
    await this.#run('rmdir -- "$1"', path)
  }

  /** As SFTP wants it, the new name must be free. `replaces`: it need not be. */
  async rename(from: string, to: string, replaces: boolean): Promise<void> {
    const check = replaces ? '' : '[ ! -e "$2" ] || { echo "File exists" >&2; exit 1; }; '
    await this.#run(`${check}mv -- "$1" "$2"`, from, to)
  }

  async readLink(path: string): Promise<string> {
    return (await this.#run('readlink -- "$1"', path)).replace(/\n$/, '')
  }

  async link(target: string, path: string): Promise<void> {
    await this.#run('ln -s -- "$1" "$2"', target, path)
  }

  async setMode(path: string, mode: number): Promise<void> {
    await this.#run('chmod "$1" "$2"', (mode & 0o7777).toString(8), path)
  }

  async setTime(path: string, mtime: number): Promise<void> {
    await this.#run('touch -d "@$1" -- "$2"', String(mtime), path)
  }

  /** Makes the file if it is not there; fails if it cannot be written. `exclusive`: fails if it is there. */
  async touch(path: string, exclusive: boolean): Promise<void> {
    const check = exclusive ? '[ ! -e "$1" ] || { echo "File exists" >&2; exit 1; }; ' : ''
    await this.#run(`${check}: >> "$1"`, path)
  }

  /** Copies the file of the container into a file of this machine. */
  async fetch(path: string, into: FileHandle): Promise<void> {
    const facts = await this.stat(path, true)
    await mustHaveRoom(facts.size)
    let bytes = 0
    await this.#sh('cat -- "$1"', [path], {
      output: async piece => {
        bytes += piece.length
        if (bytes > MOST_FILE_BYTES) throw tooLarge()
        await into.write(Buffer.from(piece))
      },
    })
  }

  /** Writes a file of this machine into the file of the container. */
  async store(path: string, from: FileHandle, size: number): Promise<void> {
    await this.#sh('cat > "$1"', [path], {
      input: async function* () {
        const piece = Buffer.alloc(PIECE)
        for (let at = 0; at < size; ) {
          const { bytesRead } = await from.read(piece, 0, PIECE, at)
          if (bytesRead === 0) return
          yield piece.subarray(0, bytesRead)
          at += bytesRead
        }
      },
    })
  }

  async #run(script: string, ...words: readonly string[]): Promise<string> {
    const parts: Buffer[] = []
    let bytes = 0
    await this.#sh(script, words, {
      output: piece => {
        bytes += piece.length
        if (bytes > MOST_SAID_BYTES) throw tooLarge()
        parts.push(Buffer.from(piece))
      },
    })
    return Buffer.concat(parts).toString()
  }

  /** Runs a script of the container's shell; fails with `FilesError` unless it exits with 0. */
  async #sh(
    script: string,
    words: readonly string[],
    io: {
      readonly output?: (bytes: Uint8Array) => Promise<void> | void
      readonly input?: () => AsyncIterable<Uint8Array>
    },
  ): Promise<void> {
    using session = await this.#open({ kind: 'exec', command: ['sh', '-c', script, 'sh', ...words] }, this.#signal)
    const send = async (): Promise<void> => {
      for await (const bytes of io.input?.() ?? []) await session.write(bytes)
      await session.endInput()
    }
    send().catch(() => undefined) // the command ends early, and says why
    let fault = ''
    const code = await session.read({
      output: (stream, bytes) => {
        if (stream === 'stdout') return io.output?.(bytes)
        if (fault.length < MOST_ERROR_BYTES) fault += Buffer.from(bytes).toString()
        return undefined
      },
    })
    if (code !== 0) throw new FilesError(fault.trim() || `the command failed with ${code}`)
  }
}

function parsed(said: string): readonly (FileFacts & { readonly name: string })[] {
  return said.split('\n').flatMap(line => {
    const match = /^([0-9a-f]+) (\d+) (\d+) (\d+) (-?\d+) (-?\d+) (.*)$/.exec(line)
    if (match === null) return []
    const [, mode = '', size, uid, gid, atime, mtime, name = ''] = match
    const numbers = {
      size: Number(size),
      uid: Number(uid),
      gid: Number(gid),
      atime: Number(atime),
      mtime: Number(mtime),
    }
    return [{ mode: Number.parseInt(mode, 16), ...numbers, name }]
  })
}

const tooLarge = (): ShadowError => new ShadowError('too-large', `more than ${MOST_FILE_BYTES} bytes at once`)

/** Fails with `too-large` for a file of this size, and with `disk-full` if the disk of the folder has no room for it. */
export async function mustHaveRoom(size: number, folder?: string): Promise<void> {
  if (size > MOST_FILE_BYTES) throw tooLarge()
  if (folder === undefined) return
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize - size < FLOOR_BYTES)
    throw new ShadowError('disk-full', 'the disk of the master has no room for the file on its way')
}

/** A file of this machine that is gone when it is closed. */
export const spoolFile = (path: string): Promise<FileHandle> => openFile(path, 'wx+', 0o600)
