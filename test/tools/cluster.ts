import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { Credentials } from '../../src/lib/tls/credentials.ts'
import type { StoragePlace } from '../../src/master/storage/place.ts'
import { MASTER_HOST } from '../../src/model/member.ts'
import { dockerHost } from './docker-host.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from './environment.ts'
import { freePort } from './free-port.ts'
import { removeNetworkOf } from './network.ts'
import { containersOf, until } from './shadow.ts'
import { Visitor } from './visitor.ts'

type Env = Readonly<Record<string, string>>

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

/** A daemon in a process of its own. It can be ended in any way, and started again on its old port. */
export class Daemon {
  readonly #command: readonly [file: string, ...args: string[]]
  #env: Env
  #child: ChildProcess | undefined
  #said = ''
  port = 0

  constructor(command: readonly [file: string, ...args: string[]], env: Env) {
    this.#command = command
    this.#env = env
  }

  /** Resolves when the daemon says that it listens; at once if it runs already. `env`: new settings from this start on. */
  async start(env: Env = {}): Promise<void> {
    if (this.#runs) return
    this.#env = { ...this.#env, ...env }
    const [file, ...args] = this.#command
    const child = spawn(file, [...args, '--json', '--listen', `127.0.0.1:${this.port}`], {
      env: { PATH: process.env['PATH'] ?? '', ...dockerHost(), ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#said = ''
    child.stderr.setEncoding('utf8').on('data', chunk => {
      this.#said += chunk
    })
    const ended = once(child, 'close').then(([exit]) => Promise.reject(new Error(`ended with ${exit}: ${this.#said}`)))
    ended.catch(() => undefined) // after it listened, only the test ends it
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string]
    this.port = Number(/:(\d+)"/.exec(line)?.[1])
    child.on('exit', exit => {
      // The daemon exited by itself: print its output for whoever reads the failed test.
      if (exit !== null && exit !== 0) process.stderr.write(this.#said)
    })
  }

  /** Sends the signal and returns how the process ended. */
  async end(signal: NodeJS.Signals): Promise<number | string | null> {
    const child = this.#child
    if (child === undefined || !this.#runs) return null
    const ended = once(child, 'exit')
    child.kill(signal)
    const [exit, by] = await ended
    return exit ?? by
  }

  /** Freezes the process (SIGSTOP), like a machine that hangs. The returned function lets it go on. */
  pause(): () => void {
    this.#child?.kill('SIGSTOP')
    return () => void this.#child?.kill('SIGCONT')
  }

  get #runs(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null
  }
}

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
