import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { Credentials } from '../../src/lib/tls/credentials.ts'
import type { StoragePlace } from '../../src/master/storage/place.ts'
import { MASTER_HOST } from '../../src/model/member.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { Daemon, type Env } from './daemon.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from './environment.ts'
import { removeNetworkOf } from './network.ts'
import { containersOf, until } from './shadow.ts'
import { Visitor } from './visitor.ts'

type Options = {
  /** The installed program. */
  readonly shadow: string
  /** `SHADOW_STORAGE` of the master; left out: a directory. */
  readonly storage?: string
  /** More settings of the master. */
  readonly masterSettings?: Readonly<Record<string, string>>
  /** The letters that name nodes and fronts. */
  readonly nodes: readonly string[]
  readonly fronts: readonly string[]
  /** Further settings of all nodes; `data` is the folder of the cluster. */
  readonly nodeSettings?: (data: string) => Env
  /** Makes a cluster: nodes and fronts join it, and all of them speak mutual TLS. */
  readonly joined?: boolean
  /** More settings of nodes and fronts that join, by their letter. */
  readonly settings?: Readonly<Record<string, Env>>
  /** Takes the port of the master and returns the port where fronts call it; left out: the same port. */
  readonly frontsReachMaster?: (port: number) => Promise<number>
}

type Joining = Pick<Options, 'shadow' | 'nodes' | 'fronts'> & { readonly settings: Readonly<Record<string, Env>> }

/** Master, nodes and fronts as a supervisor runs them: each is a process of its own with its own token. */
export class Cluster implements AsyncDisposable {
  readonly master: Daemon
  readonly data: string
  readonly #nodes = new Map<string, Daemon>()
  readonly #fronts = new Map<string, { daemon: Daemon; visitor: Visitor }>()
  readonly #run = randomBytes(3).toString('hex')
  #token = ''
  #ca: string | undefined

  private constructor(data: string, { shadow, storage, masterSettings = {} }: Options) {
    this.data = data
    const env = { ...masterSettings, ...(storage && { SHADOW_STORAGE: storage }) }
    this.master = new Daemon([shadow, 'master', '--data', `${data}/master`], env)
  }

  static async start(options: Options): Promise<Cluster> {
    const cluster = new Cluster(await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)), options)
    try {
      await cluster.#startAll(options)
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return cluster
  }

  /** A client of the API with the admin's token. */
  get admin(): MasterClient {
    const { url, tls } = this.masterAccess
    return masterClient({ url, tls, token: this.#token, withinMs: 60_000 })
  }

  /** The admin's token, which counts at every master of the storage. */
  get token(): string {
    return this.#token
  }

  /** Where the master is, and how it is known. */
  get masterAccess() {
    const ca = this.#ca
    const tls = ca === undefined ? undefined : { servername: MASTER_HOST, credentials: new Credentials({ ca }) }
    return { url: `${ca === undefined ? 'http' : 'https'}://127.0.0.1:${this.master.port}`, tls }
  }

  node(letter: string): Daemon {
    return there(this.#nodes.get(letter))
  }

  front(letter: string): Daemon {
    return there(this.#fronts.get(letter)).daemon
  }

  /** A visitor of this front. */
  at(front: string): Visitor {
    return there(this.#fronts.get(front)).visitor
  }

  /** The name of the node with this letter. */
  nameOf(letter: string): string {
    return `${TEST_NODE_PREFIX}${this.#run}-${letter}`
  }

  /** Ids of the app's containers on this node, whether they run or not. */
  containers(letter: string, app: string): Promise<string[]> {
    return containersOf(this.nameOf(letter), app)
  }

  async #startAll(options: Options): Promise<void> {
    const { shadow, nodes, fronts, nodeSettings, joined, settings = {} } = options
    const { frontsReachMaster = async (port: number) => port } = options
    if (joined === true) await this.#init(shadow)
    await this.master.start()
    this.#token = (await readFile(`${this.data}/master/tokens/admin`, 'utf8')).trim()
    if (joined === true) return this.#join({ shadow, nodes, fronts, settings })
    const envFor = async (role: 'node' | 'proxy', name: string): Promise<Env> => ({
      SHADOW_MASTER: `http://127.0.0.1:${this.master.port}`,
      SHADOW_TOKEN: (await this.admin.call('createToken', { body: { name, role } })).token,
    })
    for (const letter of nodes) {
      const name = this.nameOf(letter)
      const env = { ...(await envFor('node', name)), ...nodeSettings?.(this.data), SHADOW_NODE_NAME: name }
      this.#nodes.set(letter, new Daemon([shadow, 'nodeproxy', '--data', `${this.data}/${letter}`], env))
    }
    await Promise.all([...this.#nodes.values()].map(node => node.start()))
    await until(async () => (await this.admin.call('listNodes', {})).items.length === nodes.length || undefined)
    const SHADOW_MASTER = `http://127.0.0.1:${await frontsReachMaster(this.master.port)}`
    for (const letter of fronts) {
      const env = { ...(await envFor('proxy', letter)), SHADOW_MASTER }
      const daemon = new Daemon([shadow, 'proxy', '--data', `${this.data}/${letter}`], env)
      this.#fronts.set(letter, { daemon, visitor: new Visitor(() => daemon.port) })
    }
    await Promise.all([...this.#fronts.values()].map(({ daemon }) => daemon.start()))
  }

  /** Makes the cluster before its master starts, as a person does. */
  async #init(shadow: string): Promise<void> {
    this.master.port = await freePort()
    const url = `https://127.0.0.1:${this.master.port}`
    const made = await run(shadow, ['cluster', 'init', '--url', url, '--data', `${this.data}/master`, '--json'])
    this.#ca = JSON.parse(made).ca
  }

  async #join({ shadow, nodes, fronts, settings }: Joining): Promise<void> {
    for (const letter of nodes) {
      await this.join(shadow, 'node', letter)
      this.#nodes.set(
        letter,
        new Daemon([shadow, 'nodeproxy', '--data', `${this.data}/${letter}`], settings[letter] ?? {}),
      )
    }
    for (const letter of fronts) {
      await this.join(shadow, 'proxy', letter)
      const daemon = new Daemon([shadow, 'proxy', '--data', `${this.data}/${letter}`], settings[letter] ?? {})
      this.#fronts.set(letter, { daemon, visitor: new Visitor(() => daemon.port) })
    }
    await Promise.all([...this.#nodes.values()].map(node => node.start()))
    await until(async () => (await this.admin.call('listNodes', {})).items.length === nodes.length || undefined)
    await Promise.all([...this.#fronts.values()].map(({ daemon }) => daemon.start()))
  }

  /** Lets a machine with this data folder join, by the two commands that a person runs. */
  async join(shadow: string, role: 'node' | 'proxy', letter: string): Promise<void> {
    const env = { SHADOW_DATA: `${this.data}/master` }
    const token = await run(shadow, [role, 'token', role === 'node' ? this.nameOf(letter) : letter], env)
    await run(shadow, [role, 'join', '--token', token.trim(), '--data', `${this.data}/${letter}`])
  }

  /** Makes the cluster ready for the next test: every daemon runs, every node takes apps, and no app is there. */
  async settle(): Promise<void> {
    for (const daemon of [
      this.master,
      ...this.#nodes.values(),
      ...[...this.#fronts.values()].map(each => each.daemon),
    ]) {
      daemon.resume()
      await daemon.start()
    }
    const nodes = await until(async () => {
      const { items } = await this.admin.call('listNodes', {})
      return items.every(({ state }) => state === 'healthy' || state === 'draining') ? items : undefined
    })
    for (const { name, cordon } of nodes) if (cordon) await this.admin.call('uncordonNode', { params: { node: name } })
    const { items } = await this.admin.call('listApps', {})
    for (const { name } of items)
      await this.admin.call('removeApp', { params: { app: name }, query: { withVolume: 'true' } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { daemon } of this.#fronts.values()) await daemon.end('SIGKILL')
    // A node that a test killed left apps and mounts. Started again, it puts them to sleep when it ends.
    // One node after the other: containers that end at the same time can lock dockerd up (contrib/decisions/011).
    for (const node of this.#nodes.values()) {
      await node.start()
      await node.end('SIGINT')
    }
    await this.master.end('SIGKILL')
    for (const letter of this.#nodes.keys()) {
      const left = await containersOf(this.nameOf(letter))
      if (left.length > 0) await promisify(execFile)('docker', ['rm', '--force', ...left])
      await removeNetworkOf(this.nameOf(letter))
    }
    await rm(this.data, { recursive: true, force: true })
  }
}

/** The place in the form of `SHADOW_STORAGE`. */
export function storageSetting(place: StoragePlace): string {
  if (place.kind === 'directory') return `directory:${place.path}`
  const url = new URL(`/${place.bucket}`, place.endpoint)
  url.username = place.credentials?.accessKeyId ?? ''
  url.password = place.credentials?.secretAccessKey ?? ''
  return url.href
}

/** Runs a command of the CLI and returns its stdout. */
async function run(shadow: string, args: readonly string[], env: Env = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(shadow, args, { env: { PATH: process.env['PATH'] ?? '', ...env } })
  return stdout
}

function there<T>(found: T | undefined): T {
  if (found === undefined) throw new Error('there is none that is called so')
  return found
}
