import { spawn } from 'node:child_process'
import { chmod, chown } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ShadowError } from '../../lib/errors.ts'
import { SYSTEM } from '../../lib/exec.ts'
import { TAR_BLOCK, TAR_END } from '../../lib/tar/header.ts'
import { instanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { statusOf } from './failures.ts'
import { type Owner, ownerOf } from './image-user.ts'
import { LABEL_APP, LABEL_INSTANCE, LABEL_NODE } from './runtime.ts'
import { folderName } from './specification.ts'

type Options = { readonly engine: Engine; readonly node: NodeName }

/** What an image has at a path where it has no files: who its user is, or owner and mode of an empty folder. */
type Empty = Owner & { readonly mode: number | undefined }

const MOST_KNOWN = 1_000
// Its head, and the end of an archive.
const EMPTY_BYTES = TAR_BLOCK + TAR_END.length

/** Folders of images, read through a container that is made for it and never started: one of an app has its volume in the way. */
export class DockerFolders {
  readonly #engine: Engine
  readonly #node: NodeName
  /** Of images that have nothing at a path. To look into an image takes as long as to make a container. An image never changes under its id. */
  readonly #empty = new Map<string, Empty>()

  constructor({ engine, node }: Options) {
    this.#engine = engine
    this.#node = node
  }

  /** Copies the image's folder at the volume's path to `at`; without one, gives `at` to the user of the image. */
  async copy(task: TaskDefinition, at: string, signal: AbortSignal): Promise<void> {
    const path = task.volume?.path
    if (path === undefined) return
    const key = task.pinned && `${task.pinned.id} ${path}`
    const known = key === undefined ? undefined : this.#empty.get(key)
    if (known !== undefined) return give(at, known)
    const { id, user } = await this.#make(task)
    try {
      const found = await this.#extract(id, `${path}/.`, at, task, signal)
      if (found === 'filled') return
      const empty = found ?? { ...(await this.#ownerOf(id, user, signal)), mode: undefined }
      if (key !== undefined) this.#learn(key, empty)
      await give(at, empty)
    } finally {
      await this.#remove(id)
    }
  }

  #learn(key: string, empty: Empty): void {
    const [oldest] = this.#empty.keys()
    if (this.#empty.size >= MOST_KNOWN && oldest !== undefined) this.#empty.delete(oldest)
    this.#empty.set(key, empty)
  }

  async #make(task: TaskDefinition): Promise<{ id: string; user: string }> {
    const { ask } = this.#engine
    const name = folderName(this.#node, instanceId(task.app))
    const left = await ask(docker => docker.getContainer(name).inspect()).catch(unlessStatus(404))
    if (left?.Config.Labels?.[LABEL_NODE] === this.#node) await this.#remove(left.Id)
    const { id } = await ask(docker =>
      docker.createContainer({
        name,
        Image: task.pinned?.id ?? task.image,
        Cmd: ['never-started'],
        Labels: { [LABEL_NODE]: this.#node, [LABEL_APP]: task.app, [LABEL_INSTANCE]: instanceId(task.app) },
        HostConfig: { NetworkMode: 'none' },
      }),
    )
    const made = await ask(docker => docker.getContainer(id).inspect())
    return { id, user: made.Config.User ?? '' }
  }

  async #remove(id: string): Promise<void> {
    await this.#engine.ask(docker => docker.getContainer(id).remove({ force: true, v: true })).catch(unlessStatus(404))
  }

  /** `filled`: there was something in it. Undefined where the image has no folder there. */
  async #extract(
    id: string,
    path: string,
    at: string,
    task: TaskDefinition,
    signal: AbortSignal,
  ): Promise<'filled' | Empty | undefined> {
    const archive = this.#archive(id, path, signal)
    const begin = await beginOf(archive).catch(noSuchFolder)
    if (begin === undefined) return undefined
    const empty = emptyFolder(begin)
    if (empty !== undefined) return empty
    // The paths in it come from a real tree as Docker walked it, so none of them leads through a link.
    const tar = spawn('tar', ['-x', '-f', '-', '-p', '--numeric-owner', '--xattrs', '--xattrs-include=*', '-C', at], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: SYSTEM,
    })
    const errors: string[] = []
    tar.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => void errors.push(text))
      .on('error', () => undefined) // its exit code has the result
    const ended = new Promise<number | null>((resolve, reject) => {
      tar.on('close', resolve).on('error', reject)
    })
    ended.catch(() => undefined) // it is awaited below
    const all = async function* (): AsyncGenerator<Buffer> {
      yield begin
      yield* archive
    }
    const piped = await pipeline(Readable.from(all()), tar.stdin, { signal }).catch((error: unknown) => error)
    const exitCode = await ended
    signal.throwIfAborted()
    if (exitCode === 0 && piped === undefined) return 'filled'
    const output = errors.join('').trim().split('\n').slice(0, 5).join('\n')
    if (/No space left/.test(output))
      throw new ShadowError(
        'disk-full',
        `what image ${task.image} has at ${task.volume?.path} does not fit on the volume of ${task.app}`,
        {
          hint: `make it larger: shadow update ${task.app} --volume SIZE:${task.volume?.path}`,
        },
      )
    throw new ShadowError('volume-broken', `the volume of ${task.app} cannot be filled from its image: ${output}`, {
      cause: piped,
    })
  }

  async #ownerOf(id: string, user: string, signal: AbortSignal): Promise<Owner> {
    const read = async (path: string): Promise<string> => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of this.#archive(id, path, signal)) chunks.push(chunk)
      } catch (error) {
        if (noSuchFolder(error) === undefined) return ''
      }
      // An archive of one file is its head, then its bytes, filled up with NUL.
      return Buffer.concat(chunks).subarray(TAR_BLOCK).toString('utf8')
    }
    return ownerOf(
      user,
      () => read('/etc/passwd'),
      () => read('/etc/group'),
    )
  }

  #archive(id: string, path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    return this.#engine.stream(
      { method: 'GET', path: `/containers/${encodeURIComponent(id)}/archive?`, options: { path } },
      signal,
    )
  }
}

/** The image has nothing there, or a file: Docker answers 404, and 400 or 500 with "not a directory". */
function noSuchFolder(error: unknown): undefined {
  const message = error instanceof Error ? error.message : ''
  if (statusOf(error) === 404 || /not a directory/i.test(message)) return undefined
  throw error
}

/** The begin of an archive, or all of one that is as short as that of an empty folder. */
async function beginOf(archive: AsyncGenerator<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  while (bytes <= EMPTY_BYTES) {
    const next = await archive.next()
    if (next.done) break
    chunks.push(next.value)
    bytes += next.value.length
  }
  return Buffer.concat(chunks)
}

/** Owner and mode of the only folder in the archive; undefined where there is more in it. */
function emptyFolder(archive: Buffer): Empty | undefined {
  const [head, end] = [archive.subarray(0, TAR_BLOCK), archive.subarray(TAR_BLOCK)]
  if (archive.length !== EMPTY_BYTES || !end.equals(TAR_END) || head.toString('latin1', 156, 157) !== '5')
    return undefined
  const [mode, uid, gid] = [100, 108, 116].map(at => Number.parseInt(head.toString('latin1', at, at + 7), 8))
  return mode === undefined || uid === undefined || gid === undefined ? undefined : { mode: mode & 0o7777, uid, gid }
}

/** Root's volume stays open to every user where the image has no folder, as many images step down from root by themselves. */
async function give(at: string, { uid, gid, mode }: Empty): Promise<void> {
  if (uid === 0 && mode === undefined) return
  await chown(at, uid, gid)
  await chmod(at, mode ?? 0o755)
}
