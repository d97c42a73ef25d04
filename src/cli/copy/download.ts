import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadEntry } from 'tar'
import type { FileFacts } from '../../api/file-calls.ts'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { Place } from './place.ts'

type Local = Extract<Place, { kind: 'local' }>

// An app may have made what is copied: no program of it gets the rights of its owner here.
const RIGHTS = 0o777

/** Where the copy is, and how many of its entries could not be made as they were. */
type Downloaded = { readonly path: string; readonly changed: number }

/**
 * Writes a file or folder that comes as a tar to a path of this machine, and answers with that path. Into a folder that is there it gets its own name.
 * What is written belongs to whoever runs the command. Links are made as they are and never followed, and nothing is written outside of the target.
 */
export async function download(
  file: FileFacts,
  name: string,
  tar: AsyncIterable<Uint8Array>,
  to: Local,
): Promise<Downloaded> {
  const there = await statIfThere(to.path)
  const isInto = there?.isDirectory() === true
  if (file.kind === 'folder') {
    if (there !== undefined && !isInto) throw notAFolder(to.path)
    const target = isInto ? join(to.path, name) : to.path
    await mkdir(target, { recursive: true })
    return { path: target, changed: await extractFolder(tar, target) }
  }
  if (to.isFolder && !isInto) throw noFolder(to.path)
  const target = isInto ? join(to.path, name) : to.path
  await extractOne(tar, target)
  return { path: target, changed: 0 }
}

/**
 * `tar` fails for what would be written outside of the folder. It leaves out devices and sockets, and takes the first slash from absolute links:
 * answers with how many of these there were.
 */
async function extractFolder(tar: AsyncIterable<Uint8Array>, target: string): Promise<number> {
  const { extract } = await import('tar')
  let problem: Error | undefined
  let changed = 0
  const unpack = extract({
    cwd: target,
    strip: 1,
    preserveOwner: false,
    filter: (_, entry) => {
      const { mode } = entry as ReadEntry
      if (mode !== undefined) (entry as ReadEntry).mode = mode & RIGHTS
      return true
    },
    onwarn: (code, message, data) => {
      if (code === 'TAR_ENTRY_UNSUPPORTED' || code === 'TAR_ENTRY_INFO') changed += 1
      else problem ??= new ShadowError('bad-input', `not all could be written: ${String(message)}`, { cause: data })
    },
  })
  await pipeline(Readable.from(tar, { objectMode: false }), unpack as unknown as NodeJS.WritableStream)
  if (problem !== undefined) throw problem
  return changed
}

/** One file, which has its name only when it is whole; or one link. */
async function extractOne(tar: AsyncIterable<Uint8Array>, target: string): Promise<void> {
  const { Parser } = await import('tar')
  const part = `${target}.${randomUUID()}.part`
  const written: Promise<void>[] = []
  const parser = new Parser({
    onReadEntry: entry => {
      if (written.length > 0) return void entry.resume()
      const work = writeEntry(entry, part)
      work.catch(() => undefined) // it is awaited below
      written.push(work)
    },
  })
  try {
    await pipeline(Readable.from(tar, { objectMode: false }), parser as unknown as NodeJS.WritableStream)
    await Promise.all(written)
    if (written.length === 0) throw new ShadowError('internal', 'the answer has no file')
    await rename(part, target)
  } catch (error) {
    await rm(part, { force: true })
    throw systemCode(error) === 'ENOENT' ? noFolder(dirname(target)) : error
  }
}

async function writeEntry(entry: ReadEntry, to: string): Promise<void> {
  if (entry.type === 'SymbolicLink') {
    entry.resume()
    return symlink(entry.linkpath ?? '', to)
  }
  if (entry.type !== 'File' && entry.type !== 'OldFile') {
    entry.resume()
    throw new ShadowError('bad-input', `${entry.path} is no file, folder or link`)
  }
  const mode = (entry.mode ?? 0o644) & RIGHTS
  await pipeline(entry as unknown as NodeJS.ReadableStream, createWriteStream(to, { flags: 'wx', mode }))
}

async function statIfThere(path: string) {
  return stat(path).catch(error => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
}

const notAFolder = (path: string): ShadowError => new ShadowError('bad-input', `${path} is no folder`)
const noFolder = (path: string): ShadowError =>
  new ShadowError('not-found', `there is no folder ${path} here`, { hint: `make it: mkdir -p ${path}` })
