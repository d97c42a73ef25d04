import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type MasterClient, masterClient } from '../../../src/api/client.ts'
import { Credentials } from '../../../src/lib/tls/credentials.ts'
import { MASTER_HOST } from '../../../src/model/member.ts'
import { storageSetting } from '../cluster.ts'
import { Daemon, type Env } from '../daemon.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from '../environment.ts'
import { nodeImage } from '../images.ts'
import { OwnDocker } from '../own-docker.ts'
import { minio, type S3Server } from '../s3-servers.ts'
import { until } from '../shadow.ts'
import { Visitor } from '../visitor.ts'
import { Balancer } from './balancer.ts'
import { Lan } from './lan.ts'
import type { Machine } from './machine.ts'

const run = promisify(execFile)
const MASTER_PORT = 8080
const STORE = 's'

type Options = {
  /** The installed program. */
  readonly shadow: string
  /** The letters that name the machines. */
  readonly nodes: readonly string[]
  readonly fronts: readonly string[]
  readonly masters: readonly string[]
  /** More settings of all nodes. */
  readonly nodeSettings?: Env
  /** More settings of the daemon of a machine, whose folder is given. */
  readonly settings?: (letter: string, folder: string) => Env
}

/**
 * A cluster on made-up machines: nodes with a Docker daemon each, fronts, masters behind a balancer, and MinIO. Each runs the programs that
 * people run, joined by the commands that people give. The nodes see one folder, as they would see NFS: their pool.
 */
export class Fleet implements AsyncDisposable {
  readonly folder: string
  readonly #options: Options
  readonly #stack = new AsyncDisposableStack()
  readonly #run = randomBytes(3).toString('hex')
  readonly #machines = new Map<string, Machine>()
  readonly #daemons = new Map<string, Daemon>()
  readonly #dockers = new Map<string, OwnDocker>()
  #lan: Lan | undefined
  #balancer: Balancer | undefined
  #store: S3Server | undefined
  #access = { ca: '', token: '' }

  private constructor(folder: string, options: Options) {
    this.folder = folder
    this.#options = options
  }

  static async start(options: Options): Promise<Fleet> {
    const fleet = new Fleet(await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)), options)
    try {
      await fleet.#start()
      return fleet
    } catch (error) {
      await fleet[Symbol.asyncDispose]()
      throw error
    }
  }

  machine(letter: string): Machine {
    return there(this.#machines.get(letter), letter)
  }

  /** The daemon of this machine. */
  daemon(letter: string): Daemon {
    return there(this.#daemons.get(letter), letter)
  }

  docker(node: string): OwnDocker {
    return there(this.#dockers.get(node), node)
  }

  get store(): S3Server {
    return there(this.#store, 'store')
  }

  /** A visitor of this front. */
  at(front: string): Visitor {
    const { address } = this.machine(front)
    return new Visitor(() => this.daemon(front).port, address)
  }

  /** Where fronts and nodes reach the masters. */
  get mastersAddress(): string {
    return there(this.#lan, 'lan').address
  }

  /** A client of the API with the admin's token, at this master, or at any. */
  admin(master?: string): MasterClient {
    const address = master === undefined ? this.mastersAddress : this.machine(master).address
    const { ca, token } = this.#access
    const tls = { servername: MASTER_HOST, credentials: new Credentials({ ca }) }
    return masterClient({ url: `https://${address}:${MASTER_PORT}`, tls, token, withinMs: 60_000 })
  }

  /** The name of the node with this letter. */
  nameOf(letter: string): string {
    return `${TEST_NODE_PREFIX}${this.#run}-${letter}`
  }

  /** The letter of the node with this name. */
  letterOf(name: unknown): string {
    return String(name).slice(-1)
  }

  /** The data folder of this machine. */
  data(letter: string): string {
    return `${this.folder}/${letter}/data`
  }

  get pool(): string {
    return `${this.folder}/pool`
  }

  /** The log of the daemon of this machine, over all its starts. */
  log(letter: string): string {
    return `${this.folder}/${letter}/log`
  }

  /** Ids of the app's containers that run on this node. */
  async running(node: string, app: string): Promise<string[]> {
    const ids = await this.docker(node).run('ps', '--quiet', '--no-trunc', '--filter', `label=shadow.app=${app}`)
    return ids.split('\n').filter(Boolean)
  }

  /** Ends all processes of the machine at once. What a real machine would forget with its memory is gone as well. */
  async powerOff(letter: string): Promise<void> {
    const { address } = this.machine(letter)
    await this.machine(letter).powerOff()
    if (this.#options.masters.includes(letter)) await until(() => this.#balancer?.isOut(address) || undefined)
    await this.#detachDisks(file => file.startsWith(this.data(letter)) || file.includes(`/at-${this.nameOf(letter)}.`))
  }

  /** Starts the machine and its programs. */
  async powerOn(letter: string): Promise<void> {
    await this.machine(letter).boot()
    const docker = this.#dockers.get(letter)
    if (docker !== undefined) {
      for (const left of ['exec', 'pid'])
        await rm(`${this.folder}/${letter}/docker/${left}`, { recursive: true, force: true })
      await docker.start()
    }
    await this.daemon(letter).start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines.values()) await machine.thaw()
    await this.#stack.disposeAsync()
  }

  async #start(): Promise<void> {
    const { nodes, fronts, masters } = this.#options
    this.#stack.defer(() => rm(this.folder, { recursive: true, force: true }))
    this.#stack.defer(() => this.#detachDisks(() => true))
    const lan = this.#stack.use(await Lan.start(this.folder))
    this.#lan = lan
    const letters = [...nodes, ...fronts, ...masters, STORE]
    for (const letter of letters) this.#machines.set(letter, await lan.machine(letter))
    await Promise.all([this.#startDockers(), this.#startMasters()])
    await Promise.all([...nodes, ...fronts].map(letter => this.daemon(letter).start()))
    await until(async () => {
      const { items } = await this.admin().call('listNodes', {})
      return items.filter(({ state }) => state === 'healthy').length === nodes.length || undefined
    })
  }

  async #startDockers(): Promise<void> {
    const image = `${this.folder}/image.tar`
    await run('docker', ['save', '--output', image, await nodeImage()])
    const start = async (letter: string): Promise<void> => {
      const folder = `${this.folder}/${letter}/docker`
      await mkdir(folder, { recursive: true })
      const machine = this.machine(letter)
      const docker = await OwnDocker.startAt(machine, folder, '--cgroup-parent', machine.group)
      this.#dockers.set(letter, docker)
      await docker.run('load', '--input', image)
    }
    await Promise.all(this.#options.nodes.map(start))
    await rm(image)
  }

  /** Starts the store and the masters, and lets all others join. */
  async #startMasters(): Promise<void> {
    const { shadow, nodes, fronts, masters, nodeSettings } = this.#options
    const lan = there(this.#lan, 'lan')
    this.#store = await minio(this.machine(STORE))
    const store = this.#stack.use(there(this.#store, 'minio, on the PATH or in the cache folder,'))
    const settings = {
      SHADOW_STORAGE: storageSetting(store.place('fleet')),
      SHADOW_SECRETS_KEY: randomBytes(32).toString('base64'),
    }
    const [first = ''] = masters
    const url = `https://${lan.address}:${MASTER_PORT}`
    const init = [shadow, 'cluster', 'init', '--url', url, '--data', this.data(first), '--json'] as const
    const { ca } = JSON.parse(await this.machine(first).run(init, settings))
    for (const letter of masters) {
      const daemon = this.#daemon(letter, [shadow, 'master'], settings)
      daemon.port = MASTER_PORT
    }
    await Promise.all(masters.map(letter => this.daemon(letter).start()))
    const addresses = masters.map(letter => this.machine(letter).address)
    this.#balancer = this.#stack.use(await Balancer.listen(lan.address, MASTER_PORT, addresses))
    this.#access = { ca, token: (await readFile(`${this.data(first)}/tokens/admin`, 'utf8')).trim() }
    await Promise.all([
      ...nodes.map(async letter => {
        await this.join('node', letter)
        const own = { ...nodeSettings, SHADOW_POOL: this.pool, DOCKER_HOST: `unix://${this.#socket(letter)}` }
        this.#daemon(letter, [shadow, 'nodeproxy'], own)
      }),
      ...fronts.map(async letter => {
        await this.join('proxy', letter)
        this.#daemon(letter, [shadow, 'proxy'], {})
      }),
    ])
  }

  /** Lets the machine join, by the two commands that people give. */
  async join(role: 'node' | 'proxy', letter: string): Promise<void> {
    const { shadow, masters } = this.#options
    const [first = ''] = masters
    const name = role === 'node' ? this.nameOf(letter) : letter
    const token = await this.machine(first).run([shadow, role, 'token', name], { SHADOW_DATA: this.data(first) })
    await this.machine(letter).run([shadow, role, 'join', '--token', token, '--data', this.data(letter)])
  }

  #daemon(letter: string, command: readonly [string, string], env: Env): Daemon {
    const place = this.machine(letter)
    const all = { ...env, ...this.#options.settings?.(letter, `${this.folder}/${letter}`) }
    const daemon = new Daemon([...command, '--data', this.data(letter)], all, { place, log: this.log(letter) })
    this.#daemons.set(letter, daemon)
    return daemon
  }

  #socket(node: string): string {
    return `${this.folder}/${node}/docker/docker.sock`
  }

  /** Loop devices outlive the mounts of the processes that attached them. */
  async #detachDisks(ofMachine: (file: string) => boolean): Promise<void> {
    const { stdout } = await run('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE'])
    for (const line of stdout.split('\n')) {
      const [device = '', file = ''] = line.split(' ')
      if (file.startsWith(this.folder) && ofMachine(file)) await run('losetup', ['--detach', device])
    }
  }
}

function there<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`there is no ${what}`)
  return found
}
