import { randomUUID } from 'node:crypto'
import { type FileHandle, rm } from 'node:fs/promises'
import { join, posix } from 'node:path'
import type { Attributes, SFTPWrapper } from 'ssh2'
import { asShadowError } from '../../lib/errors.ts'
import { ContainerFiles, type FileFacts, FilesError, mustHaveRoom, spoolFile } from './container-files.ts'
import type { OpenSession } from './open-session.ts'

type Options = { readonly open: OpenSession; readonly spool: string; readonly closed: AbortSignal }
type OpenedFile = {
  readonly path: string
  readonly file: FileHandle
  writes: boolean
  size: number
  mode: number | undefined
  mtime: number | undefined
}
type OpenedFolder = { entries: (FileFacts & { readonly name: string })[] }

// Status codes and flags of draft-ietf-secsh-filexfer-02, which clients speak.
const OK = 0
const END = 1
const NO_SUCH_FILE = 2
const DENIED = 3
const FAILURE = 4
const UNSUPPORTED = 8
const WRITE = 0x02
const CREATE = 0x08
const TRUNCATE = 0x10
const EXCLUSIVE = 0x20

const MOST_HANDLES = 64
/** Clients keep some 64 requests under way. */
const MOST_REQUESTS = 1_024
const MOST_READ = 262_144
const NAMES_AT_ONCE = 100

/** Serves SFTP for the files of a container. Requests are answered in their order. */
export function serveSftp(sftp: SFTPWrapper, { open, spool, closed }: Options): void {
  const files = new ContainerFiles(open, closed)
  const handles = new Map<number, OpenedFile | OpenedFolder>()
  let last = 0
  let waiting = 0
  let turn = Promise.resolve()

  /** Answers a request after those before it. An error becomes its status. */
  const on = (event: string, answer: (id: number, ...more: never[]) => Promise<void>): void => {
    ;(sftp as NodeJS.EventEmitter).on(event, (id: number, ...more: unknown[]) => {
      waiting += 1
      if (waiting > MOST_REQUESTS) return sftp.end()
      turn = turn
        .then(() => answer(id, ...(more as never[])))
        .catch(error => void (closed.aborted || sftp.status(id, codeOf(error), messageOf(error))))
        .finally(() => {
          waiting -= 1
        })
    })
  }
  const done = (id: number): void => void sftp.status(id, OK)
  const handleOf = (number: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(number)
    return bytes
  }
  const keep = (opened: OpenedFile | OpenedFolder): Buffer => {
    last += 1
    handles.set(last, opened)
    return handleOf(last)
  }
  const opened = (handle: Buffer): OpenedFile | OpenedFolder => {
    const found = handle.length === 4 ? handles.get(handle.readUInt32BE()) : undefined
    if (found === undefined) throw new FilesError('there is no such handle')
    return found
  }
  const fileAt = (handle: Buffer): OpenedFile => {
    const found = opened(handle)
    if (!('file' in found)) throw new FilesError('the handle is of a folder')
    return found
  }
  const mustHaveHandle = (): void => {
    if (handles.size >= MOST_HANDLES) throw new FilesError('too many files are open')
  }

  on('REALPATH', async (id, path: string) => {
    const filename = await files.resolve(path)
    sftp.name(id, [{ filename, longname: filename, attrs: NO_ATTRIBUTES }])
  })
  for (const [event, follows] of [
    ['STAT', true],
    ['LSTAT', false],
  ] as const)
    on(event, async (id, path: string) =>
      sftp.attrs(id, attributes(await files.stat(await files.resolve(path), follows))),
    )
  on('OPENDIR', async (id, path: string) => {
    mustHaveHandle()
    sftp.handle(id, keep({ entries: [...(await files.list(await files.resolve(path)))] }))
  })
  on('READDIR', async (id, handle: Buffer) => {
    const found = opened(handle)
    if ('file' in found) throw new FilesError('the handle is of a file')
    const now = found.entries.splice(0, NAMES_AT_ONCE)
    if (now.length === 0) return void sftp.status(id, END)
    sftp.name(
      id,
      now.map(one => ({ filename: one.name, longname: longName(one), attrs: attributes(one) })),
    )
  })
  on('OPEN', async (id, name: string, flags: number, attrs: Partial<Attributes>) => {
    mustHaveHandle()
    const path = await files.resolve(name)
    const writes = (flags & WRITE) !== 0
    if (writes && (flags & CREATE) !== 0) await files.touch(path, (flags & EXCLUSIVE) !== 0)
    const at = join(spool, randomUUID())
    const file = await spoolFile(at)
    try {
      await rm(at) // it lives as long as it is open, so that a crash leaves nothing
      await mustHaveRoom(0, spool)
      if (!writes || (flags & (TRUNCATE | EXCLUSIVE)) === 0) await files.fetch(path, file)
      const { size } = await file.stat()
      const mode = writes && (flags & CREATE) !== 0 ? attrs.mode : undefined
      sftp.handle(id, keep({ path, file, writes, size, mode, mtime: undefined }))
    } catch (error) {
      await file.close()
      throw error
    }
  })
  on('READ', async (id, handle: Buffer, offset: number, length: number) => {
    const { file } = fileAt(handle)
    const bytes = Buffer.alloc(Math.min(length, MOST_READ))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset)
    if (bytesRead === 0) sftp.status(id, END)
    else sftp.data(id, bytes.subarray(0, bytesRead))
  })
  on('WRITE', async (id, handle: Buffer, offset: number, data: Buffer) => {
    const found = fileAt(handle)
    if (!found.writes) throw new FilesError('the file is not open for writing')
    await mustHaveRoom(offset + data.length, offset % (16 * 2 ** 20) < data.length ? spool : undefined)
    await found.file.write(data, 0, data.length, offset)
    found.size = Math.max(found.size, offset + data.length)
    done(id)
  })
  on('CLOSE', async (id, handle: Buffer) => {
    const found = opened(handle)
    handles.delete(handle.readUInt32BE())
    if ('file' in found) {
      try {
        if (found.writes) await files.store(found.path, found.file, found.size)
        if (found.mode !== undefined) await files.setMode(found.path, found.mode)
        if (found.mtime !== undefined) await files.setTime(found.path, found.mtime)
      } finally {
        await found.file.close()
      }
    }
    done(id)
  })
  on('FSTAT', async (id, handle: Buffer) => {
    const found = fileAt(handle)
    const facts = await files.stat(found.path, true)
    sftp.attrs(id, attributes({ ...facts, size: found.size }))
  })
  // The file is written when it is closed, so that its mode and time are set then.
  on('FSETSTAT', async (id, handle: Buffer, attrs: Partial<Attributes>) => {
    const found = fileAt(handle)
    if (attrs.mode !== undefined) found.mode = attrs.mode
    if (attrs.mtime !== undefined) found.mtime = attrs.mtime
    if (attrs.size !== undefined && found.writes) {
      await mustHaveRoom(attrs.size, spool)
      await found.file.truncate(attrs.size)
      found.size = attrs.size
    }
    done(id)
  })
  on('SETSTAT', async (id, name: string, attrs: Partial<Attributes>) => {
    const path = await files.resolve(name)
    if (attrs.mode !== undefined) await files.setMode(path, attrs.mode)
    if (attrs.mtime !== undefined) await files.setTime(path, attrs.mtime)
    done(id)
  })
  on('MKDIR', async (id, path: string) => files.makeFolder(await files.resolve(path)).then(() => done(id)))
  on('RMDIR', async (id, path: string) => files.removeFolder(await files.resolve(path)).then(() => done(id)))
  on('REMOVE', async (id, path: string) => files.removeFile(await files.resolve(path)).then(() => done(id)))
  on('RENAME', async (id, from: string, to: string) =>
    files.rename(await files.resolve(from), await files.resolve(to), false).then(() => done(id)),
  )
  on('READLINK', async (id, path: string) => {
    const filename = await files.readLink(await files.resolve(path))
    sftp.name(id, [{ filename, longname: filename, attrs: NO_ATTRIBUTES }])
  })
  on('SYMLINK', async (id, target: string, path: string) =>
    files.link(target, await files.resolve(path)).then(() => done(id)),
  )
  on('EXTENDED', async (id, name: string, data: Buffer) => {
    if (name !== 'posix-rename@openssh.com') return void sftp.status(id, UNSUPPORTED)
    const length = data.readUInt32BE(0)
    const from = data.subarray(4, 4 + length).toString()
    const to = data.subarray(8 + length, 8 + length + data.readUInt32BE(4 + length)).toString()
    await files.rename(await files.resolve(from), await files.resolve(to), true)
    done(id)
  })
  sftp.on('error', () => undefined) // the client has sent what is no SFTP; its channel ends
  sftp.on('end', () => void turn.finally(() => leave(sftp)))
  closed.addEventListener('abort', () => {
    for (const one of handles.values()) if ('file' in one) one.file.close().catch(() => undefined)
    handles.clear()
  })
}

/** Ends the channel. Without an exit status `sftp` and `scp` count as failed, and ssh2 sends none for SFTP. */
function leave(sftp: SFTPWrapper): void {
  const { outgoing, _protocol } = sftp as unknown as {
    outgoing: { id: number; state: string }
    _protocol: { exitStatus(id: number, code: number): void }
  }
  if (outgoing.state === 'open' || outgoing.state === 'eof') _protocol.exitStatus(outgoing.id, 0)
  sftp.end()
}

const NO_ATTRIBUTES = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 }

const attributes = ({ mode, uid, gid, size, atime, mtime }: FileFacts): Attributes => ({
  mode,
  uid,
  gid,
  size,
  atime,
  mtime,
})

/** A line as of `ls -l`, which `sftp` shows. */
function longName({ mode, uid, gid, size, mtime, name }: FileFacts & { readonly name: string }): string {
  const kinds: Readonly<Record<number, string>> = { 1: 'p', 2: 'c', 4: 'd', 6: 'b', 8: '-', 10: 'l', 12: 's' } // of st_mode: inode(7)
  const bits = [6, 3, 0].map(at =>
    ['r', 'w', 'x'].map((letter, bit) => ((mode >> (at + 2 - bit)) & 1 ? letter : '-')).join(''),
  )
  const day = new Date(mtime * 1_000).toISOString().slice(0, 16).replace('T', ' ')
  return `${kinds[mode >> 12] ?? '?'}${bits.join('')} 1 ${uid} ${gid} ${size} ${day} ${posix.basename(name) || name}`
}

function codeOf(error: unknown): number {
  if (!(error instanceof FilesError)) return FAILURE
  if (/no such file|not found|can't cd/i.test(error.message)) return NO_SUCH_FILE
  return /permission denied|read-only/i.test(error.message) ? DENIED : FAILURE
}

const messageOf = (error: unknown): string =>
  error instanceof FilesError ? (error.message.split(': ').at(-1) ?? error.message) : asShadowError(error).message
