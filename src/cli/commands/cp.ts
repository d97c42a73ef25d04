import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { FileFacts } from '../../api/file-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { download } from '../copy/download.ts'
import { nameOf, type Place, placeOf } from '../copy/place.ts'
import { isLocalFolder, packed } from '../copy/upload.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { findTarget, type Target } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Master = Target['master']
type InApp = Extract<Place, { kind: 'app' }>

/** A large folder takes long, and so may the wake of its app. */
const patiently = (): AbortSignal => new AbortController().signal

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<from>', 'APP:PATH, a path of this machine, or - for a tar from stdin')
    .argument('<to>', 'the same; - for a tar to stdout')
    .action(async (from: string, to: string, flags: CallFlags) => {
      const [source, target] = [placeOf(from), placeOf(to)]
      if ((source.kind === 'app') === (target.kind === 'app'))
        throw new ShadowError('bad-input', 'one of the two must be in an app, as APP:PATH, and the other one not', {
          hint: 'shadow cp blog:/data/app.db . copies a file out of blog',
        })
      const { master } = await findTarget(terminal, flags)
      const done =
        source.kind === 'app'
          ? await copyOut(terminal, master, source, target)
          : await copyIn(terminal, master, source, target as InApp)
      if (target.kind === 'stream') return
      print(terminal, flags.json, { from, to: done }, () => '')
      terminal.err(`${from} is copied to ${done}\n`)
    })
  callsMaster(
    command,
    'shadow cp blog:/data/app.db .',
    'shadow cp ./site blog:/data',
    'shadow cp blog:/data - | tar -t',
  )
}

async function copyOut(terminal: Terminal, master: Master, { app, path }: InApp, to: Place): Promise<string> {
  const asked = { params: { app }, query: { path } }
  if (to.kind === 'stream') {
    if (terminal.pipes.outIsTerminal)
      throw new ShadowError('bad-input', 'a tar is not for a terminal', {
        hint: `shadow cp ${app}:${path} - > files.tar`,
      })
    const { body } = await orNearApps(master, app, () => master.raw('readFiles', { ...asked, signal: patiently() }))
    await pipeline(body, terminal.pipes.out, { end: false })
    return '-'
  }
  if (to.kind !== 'local') throw new Error('both ends are in apps')
  const name = nameOf(path)
  const file = await orNearApps(master, app, () => mustBeThere(master, app, path))
  const { body } = await master.raw('readFiles', { ...asked, signal: patiently() })
  const { path: target, changed } = await download(file, name, body, to)
  if (changed > 0)
    terminal.err(
      `${changed} absolute links or special files are not as they were in ${app}; a tar has them: shadow cp ${app}:${path} -\n`,
    )
  return target
}

async function copyIn(
  terminal: Terminal,
  master: Master,
  from: Place,
  { app, path, isFolder }: InApp,
): Promise<string> {
  const write = async (folder: string, content: AsyncIterable<Uint8Array>): Promise<void> => {
    const asked = { params: { app }, query: { path: folder }, content, signal: patiently() }
    const { body } = await master.raw('writeFiles', asked)
    body.resume()
  }
  const there = await orNearApps(master, app, () => fileAt(master, app, path))
  if (from.kind === 'stream') {
    if (terminal.pipes.inIsTerminal)
      throw new ShadowError('bad-input', 'no tar comes from stdin', {
        hint: `tar -c FILES | shadow cp - ${app}:${path}`,
      })
    if (there?.kind !== 'folder') throw noFolder(app, path)
    await write(path, Readable.from(terminal.pipes.in, { objectMode: false }))
    return `${app}:${path}`
  }
  if (from.kind !== 'local') throw new Error('both ends are in apps')
  const sourceIsFolder = await isLocalFolder(from.path)
  if (there?.kind === 'folder') {
    const name = nameOf(from.path)
    await write(path, await packed(from.path, name, there))
    return `${app}:${posix.join(path, name)}`
  }
  if (sourceIsFolder && there !== null)
    throw new ShadowError('bad-input', `${app}:${path} is no folder, and ${from.path} is one`)
  if (isFolder && there === null && !sourceIsFolder) throw noFolder(app, path)
  const parent = posix.dirname(path)
  const owner = await fileAt(master, app, parent)
  if (owner?.kind !== 'folder') throw noFolder(app, parent)
  // What is replaced keeps its owner.
  await write(parent, await packed(from.path, nameOf(path), there ?? owner))
  return `${app}:${path}`
}

const fileAt = async (master: Master, app: string, path: string): Promise<FileFacts | null> =>
  (await master.call('statFile', { params: { app }, query: { path }, signal: patiently() })).file

async function mustBeThere(master: Master, app: string, path: string): Promise<FileFacts> {
  const file = await fileAt(master, app, path)
  if (file === null) throw new ShadowError('not-found', `there is no ${path} in the container of ${app}`)
  return file
}

const noFolder = (app: string, path: string): ShadowError =>
  new ShadowError('not-found', `there is no folder ${path} in the container of ${app}`)
