import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { MasterClient } from '../../api/client.ts'
import { permitHeaders } from '../../api/paths.ts'
import { orAborted } from '../../lib/abort.ts'
import { byteReader } from '../../lib/byte-reader.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import { unpackTree } from '../../lib/tar/unpack-tree.ts'
import type { Sha256 } from '../../model/digest.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'

type Options = {
  readonly folder: string
  readonly master: MasterClient
  readonly permitOf: (app: AppName) => string | undefined
  /** The definitions that this node may wake, also without a master: their sources stay. */
  readonly inReach: () => readonly TaskDefinition[]
  readonly clock: Clock
  readonly log: Log
}

/** The most that one source may have; the masters limit the size of its tar too (SHADOW_BLOB_LIMIT). */
const LIMITS = { entries: 200_000, bytes: 2 * 2 ** 30 }
/** A source that no known app needs is kept for so long after its last use, for a rollback. */
const KEPT_FOR_MS = 7 * 86_400_000
const LOOKED_AT_EVERY_MS = 3_600_000
const PART = 'part-'

/** The sources of apps on this machine, each a folder named by its digest. A folder is whole or not there. */
export class Sources implements Disposable {
  readonly #options: Options
  readonly #fetching = new Map<Sha256, Promise<void>>()
  #repeating: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Removes what downloads left that a crash cut short, and from now on what is not needed any more. */
  async start(): Promise<void> {
    const { folder, clock, log } = this.#options
    await mkdir(folder, { recursive: true, mode: 0o711 })
    for (const name of await readdir(folder)) if (name.startsWith(PART)) await this.#remove(name)
    this.#repeating = repeat(
      clock,
      LOOKED_AT_EVERY_MS,
      () => this.prune(),
      cause => log.warn('sources not pruned', { cause }),
    )
  }

  /** Makes the source of the definition present. Fails with `master-unreachable`, `not-found`, `disk-full`. */
  async ensure({ app, source }: TaskDefinition, signal: AbortSignal): Promise<void> {
    if (source === undefined) return
    const { digest } = source
    const at = join(this.#options.folder, digest)
    const now = new Date(this.#options.clock.wall())
    try {
      await utimes(at, now, now)
      return
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    const under = this.#fetching.get(digest) ?? this.#fetch(app, digest, at)
    await orAborted(under, signal) // the download goes on: the next request will want it
  }

  /** Removes sources that no definition in reach has, and that were not used for a week. */
  async prune(): Promise<void> {
    const { folder, clock, inReach, log } = this.#options
    const needed = new Set(inReach().flatMap(({ source }) => source?.digest ?? []))
    for (const name of await readdir(folder)) {
      if (name.startsWith(PART) || needed.has(name as Sha256)) continue
      const { mtimeMs } = await stat(join(folder, name))
      if (mtimeMs > clock.wall() - KEPT_FOR_MS) continue
      await this.#remove(name)
      log.info('source removed', { digest: name })
    }
  }

  [Symbol.dispose](): void {
    this.#repeating?.[Symbol.dispose]()
  }

  #fetch(app: AppName, digest: Sha256, at: string): Promise<void> {
    const under = this.#download(app, digest, at).finally(() => this.#fetching.delete(digest))
    this.#fetching.set(digest, under)
    under.catch(() => undefined) // each caller gets the error; all of them may have left
    return under
  }

  async #download(app: AppName, digest: Sha256, at: string): Promise<void> {
    const { folder, master, permitOf, clock, log } = this.#options
    const from = clock.now()
    const part = `${PART}${randomBytes(6).toString('hex')}`
    try {
      await mkdir(join(folder, part), { recursive: true })
      await chmod(join(folder, part), 0o755) // a container may run as any user, and the umask of a daemon lets nobody in
      const params = { app, digest }
      const headers = permitHeaders(permitOf(app))
      const { body } = await master.raw('getSource', {
        params,
        headers,
        signal: AbortSignal.timeout(DOWNLOAD_WITHIN_MS),
      })
      await unpackVerified(body, digest, join(folder, part))
      await rename(join(folder, part), at)
      log.info('source fetched', { app, digest, ms: Math.round(clock.now() - from) })
    } catch (error) {
      await this.#remove(part)
      throw asOurs(error, app, digest)
    }
  }

  async #remove(name: string): Promise<void> {
    await rm(join(this.#options.folder, name), { recursive: true, force: true })
  }
}

const DOWNLOAD_WITHIN_MS = 600_000

/** Unpacks the tar, and fails if its bytes are not those of the digest. The folder is not used before that. */
async function unpackVerified(body: AsyncIterable<Uint8Array>, digest: Sha256, into: string): Promise<void> {
  const hash = createHash('sha256')
  const hashed = async function* () {
    for await (const chunk of body) {
      hash.update(chunk)
      yield chunk
    }
  }
  const content = hashed()
  const wrong = (why: string): ShadowError => new ShadowError('definition-refused', `the source ${digest}: ${why}`)
  const cutShort = (): ShadowError => new ShadowError('master-unreachable', `the source ${digest} was cut short`)
  await unpackTree(byteReader(content, cutShort), into, LIMITS, wrong)
  for await (const _ of content); // what follows the end of the tar belongs to the digest
  const found = hash.digest('hex')
  if (found !== digest) throw wrong(`what came has the SHA-256 ${found}`)
}

function asOurs(error: unknown, app: AppName, digest: Sha256): unknown {
  if (error instanceof ShadowError) {
    if (error.code !== 'not-found') return error
    return new ShadowError('definition-refused', `the source ${digest} of ${app} is not in the store any more`, {
      cause: error,
      hint: 'deploy it again: shadow deploy',
    })
  }
  if (['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? ''))
    return new ShadowError('disk-full', `the disk of the node is full: the source of ${app} cannot be stored`, {
      cause: error,
      hint: 'make room on the node',
    })
  return error
}
