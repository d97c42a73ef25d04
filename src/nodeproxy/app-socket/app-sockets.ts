import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { z } from 'zod'
import { makeFolder } from '../../lib/files.ts'
import { requestListener } from '../../lib/http/api/request-handler.ts'
import type { Log } from '../../lib/log.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import type { BusyLease } from '../busy-leases.ts'
import { type AppSocketCalls, appSocketHandler } from './handler.ts'
import { socketFileIn, socketFolderOf } from './socket-folders.ts'
import { SpareFolders } from './spare-folders.ts'

type Options = {
  readonly folder: string
  /** What the app of the instance may ask for. */
  readonly callsOf: (instance: InstanceId) => AppSocketCalls
  readonly log: Log
}

type Opened = { readonly close: () => Promise<void> }

const LeasesSchema = z.array(
  z.object({ name: z.string(), why: z.string(), since: z.number(), until: z.number() }).readonly(),
)

// One app must not take the memory and the time of others by this socket.
const MOST_CONNECTIONS = 16
const LIMITS = { maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 }

/**
 * The sockets over which apps speak to their node: one for each instance, in a folder that is mounted into its container. So a container can
 * speak of its own instance alone, and no token is needed. A folder is mounted and not the socket, because a node that is restarted makes a new
 * socket.
 */
export class AppSockets {
  readonly #options: Options
  readonly #opened = new Map<InstanceId, Promise<Opened>>()
  /** What uses the folder of each instance: during a deploy it has the containers of two releases. */
  readonly #users = new Map<InstanceId, Set<object>>()
  readonly #removing = new Map<InstanceId, Promise<void>>()
  readonly #folders: SpareFolders
  #writing: Promise<unknown> = Promise.resolve()

  constructor(options: Options) {
    this.#options = options
    this.#folders = new SpareFolders(options.folder)
  }

  /** `user` uses the folder from now on, until it closes it; `before` does not use it any more. */
  use(instance: InstanceId, user: object, before?: object): void {
    const users = this.#users.get(instance) ?? new Set()
    this.#users.set(instance, users.add(user))
    if (before !== undefined) users.delete(before)
  }

  /**
   * Makes the folder and listens in it; already so is success. An instance whose socket cannot be opened runs without it. Fails with `disk-full` where
   * there is no room for the folder.
   */
  async open(instance: InstanceId): Promise<void> {
    const folder = socketFolderOf(this.#options.folder, instance)
    await this.#removing.get(instance)
    if (this.#opened.has(instance)) return
    await makeFolder(this.#options.folder)
    await this.#folders.make(folder)
    await this.#folders.fill()
    const opening = this.#listen(instance, folder)
    this.#opened.set(instance, opening)
    await opening.catch(cause => {
      this.#opened.delete(instance)
      this.#options.log.warn('socket of app not opened', { ...logFields(instance), cause })
    })
  }

  /** The container of this user is gone. Closes the socket and removes its folder, unless others use it. */
  async close(instance: InstanceId, user: object): Promise<void> {
    const users = this.#users.get(instance)
    users?.delete(user)
    if (users !== undefined && users.size > 0) return
    this.#users.delete(instance)
    const removing = this.#remove(instance).finally(() => {
      if (this.#removing.get(instance) === removing) this.#removing.delete(instance)
    })
    this.#removing.set(instance, removing)
    await removing
  }

  async #remove(instance: InstanceId): Promise<void> {
    await this.#closeSocket(instance)
    await this.#writing
    const remove = async (): Promise<void> => {
      await rm(socketFolderOf(this.#options.folder, instance), { recursive: true, force: true })
      await rm(this.#fileOf(instance), { force: true })
      await this.#folders.fill() // before anything else takes the room
    }
    await remove().catch(cause =>
      this.#options.log.warn('folder of socket not removed', { ...logFields(instance), cause }),
    )
  }

  /** Keeps the busy leases of the instance for the next run of this node. */
  keep(instance: InstanceId, leases: readonly BusyLease[]): void {
    const file = this.#fileOf(instance)
    const write = (): Promise<void> =>
      leases.length === 0 ? rm(file, { force: true }) : writeFile(file, JSON.stringify(leases), { mode: 0o600 })
    this.#writing = this.#writing
      .then(write)
      .catch(cause => this.#options.log.warn('busy leases not kept', { ...logFields(instance), cause }))
  }

  /** The busy leases that an earlier run of this node kept. */
  async kept(instance: InstanceId): Promise<readonly BusyLease[]> {
    try {
      return LeasesSchema.parse(JSON.parse(await readFile(this.#fileOf(instance), 'utf8')))
    } catch {
      return [] // there is no such file, or it was cut short by a crash
    }
  }

  /** Closes all sockets; the containers go on, and find them again once a node runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#opened.keys()].map(instance => this.#closeSocket(instance)))
    await this.#writing
  }

  async #closeSocket(instance: InstanceId): Promise<void> {
    const opened = await this.#opened.get(instance)?.catch(() => undefined)
    this.#opened.delete(instance)
    await opened?.close()
  }

  #fileOf(instance: InstanceId): string {
    return `${socketFolderOf(this.#options.folder, instance)}.busy.json`
  }

  async #listen(instance: InstanceId, folder: string): Promise<Opened> {
    const { callsOf, log } = this.#options
    await rm(socketFileIn(folder), { force: true }) // an earlier run of this node left it
    const server = createServer(LIMITS, requestListener(appSocketHandler(callsOf(instance)), { log }))
    server.maxConnections = MOST_CONNECTIONS
    // A path of a socket has 107 bytes at most, and data folders may be longer. The folder stays open, since Node removes the socket by this path.
    const handle = await open(folder, 'r')
    try {
      await listening(server, socketFileIn(`/proc/self/fd/${handle.fd}`))
    } catch (error) {
      await handle.close()
      throw error
    }
    server.on('error', cause => log.warn('socket of app failed', { ...logFields(instance), cause }))
    return {
      close: async () => {
        const closed = new Promise(resolve => server.close(resolve))
        server.closeAllConnections()
        await closed
        await handle.close()
      },
    }
  }
}

/** Any user of the container may connect: who runs as whom there is the app's own matter. */
function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path, readableAll: true, writableAll: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
