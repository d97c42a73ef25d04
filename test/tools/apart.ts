import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { masterSettings } from '../../src/master/config.ts'
import { type Master, startMaster } from '../../src/master/main.ts'
import { NODE_ANNOUNCES_EVERY } from '../../src/model/intervals.ts'
import { type NodeName, nodeName } from '../../src/model/names.ts'
import { nodeproxySettings } from '../../src/nodeproxy/config.ts'
import { type Nodeproxy, startNodeproxy } from '../../src/nodeproxy/main.ts'
import { proxySettings } from '../../src/proxy/config.ts'
import { startProxy } from '../../src/proxy/main.ts'
import { LeapingClock } from '../../src/testing/clock.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from './environment.ts'
import { removeNetworkOf } from './network.ts'
import { containersOf, until } from './shadow.ts'
import { Visitor } from './visitor.ts'

type Front = Awaited<ReturnType<typeof startProxy>>

/** Master, nodes and front as separate daemons that communicate over sockets. Each can be stopped, and started again on its old port. */
export class Apart extends Visitor implements AsyncDisposable {
  readonly clock = new LeapingClock()
  readonly nodes = new Map<string, Nodeproxy>()
  readonly data: string
  readonly #run = randomBytes(3).toString('hex')
  readonly #ports = new Map<string, number>()
  readonly #nodeTokens = new Map<NodeName, string>()
  #master: Master | undefined
  #front: Front | undefined
  #admin: MasterClient | undefined
  #tokens = { admin: '', proxy: '' }

  private constructor(data: string) {
    super(() => this.#front?.port ?? 0)
    this.data = data
  }

  /** Starts all of them; letters name the nodes. */
  static async start(nodes: readonly string[] = ['a']): Promise<Apart> {
    const apart = new Apart(await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)))
    await apart.startMaster()
    for (const node of nodes) await apart.startNode(node)
    await until(async () => (await apart.admin.call('listNodes', {})).items.length === nodes.length || undefined)
    await apart.startFront()
    return apart
  }

  get admin(): MasterClient {
    this.#admin ??= masterClient({ url: this.#masterUrl, token: this.#tokens.admin, withinMs: 60_000 })
    return this.#admin
  }

  /** The name of the node with this letter. */
  nameOf(letter: string): string {
    return `${TEST_NODE_PREFIX}${this.#run}-${letter}`
  }

  node(letter: string): Nodeproxy {
    const node = this.nodes.get(letter)
    if (node === undefined) throw new Error(`node ${letter} does not run`)
    return node
  }

  async startMaster(): Promise<void> {
    const config = readSettings(masterSettings, {}, { data: `${this.data}/master`, listen: this.#at('master') })
    this.#master = await startMaster(config, { clock: this.clock, log: noLog })
    this.#ports.set('master', this.#master.port)
    const { token } = this.#master
    this.#tokens = { admin: await token('admin'), proxy: await token('proxy') }
  }

  async stopMaster(): Promise<void> {
    await this.#master?.[Symbol.asyncDispose]()
    this.#master = undefined
  }

  async startNode(letter: string): Promise<void> {
    const data = `${this.data}/${letter}`
    const name = nodeName(this.nameOf(letter))
    const given = { data, name, listen: this.#at(letter) }
    const token = await this.#tokenOf(name)
    const config = readSettings(nodeproxySettings, {}, { ...given, master: this.#masterUrl, token })
    const node = await startNodeproxy(config, { clock: this.clock, log: noLog })
    this.#ports.set(letter, node.port)
    this.nodes.set(letter, node)
  }

  async stopNode(letter: string, options = { sleep: false }): Promise<void> {
    await this.nodes.get(letter)?.stop(options)
    this.nodes.delete(letter)
  }

  async startFront(): Promise<void> {
    const given = { data: `${this.data}/front`, listen: this.#at('front') }
    const config = readSettings(proxySettings, {}, { ...given, master: this.#masterUrl, token: this.#tokens.proxy })
    this.#front = await startProxy(config, { clock: this.clock, log: noLog })
    this.#ports.set('front', this.#front.port)
  }

  async stopFront(): Promise<void> {
    await this.#front?.[Symbol.asyncDispose]()
  }

  /** Lets time pass, in steps that the daemons can follow. What the steps themselves take counts. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    for (let left = ms; left > 0; left = until - this.clock.now()) {
      this.clock.leap(Math.min(left, NODE_ANNOUNCES_EVERY))
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const hurry = setInterval(() => this.clock.leap(60_000), 100)
    await this.stopFront()
    // A stopped node left its apps running, and only that node can release their resources.
    for (const name of this.#ports.keys()) if (name.length === 1 && !this.nodes.has(name)) await this.startNode(name)
    for (const letter of [...this.nodes.keys()]) await this.stopNode(letter, { sleep: true })
    await this.stopMaster()
    clearInterval(hurry)
    for (const letter of this.#ports.keys()) {
      const left = await containersOf(this.nameOf(letter))
      if (left.length > 0) await promisify(execFile)('docker', ['rm', '--force', ...left])
      await removeNetworkOf(this.nameOf(letter))
    }
    await rm(this.data, { recursive: true, force: true })
  }

  /** The token is made when the node first starts: the node may start again while the master is away. */
  async #tokenOf(node: NodeName): Promise<string> {
    const token = this.#nodeTokens.get(node) ?? (await this.#master?.nodeToken(node)) ?? ''
    this.#nodeTokens.set(node, token)
    return token
  }

  /** The address where the daemon listened before, or any port. */
  #at(daemon: string): string {
    return `127.0.0.1:${this.#ports.get(daemon) ?? 0}`
  }

  get #masterUrl(): string {
    return `http://${this.#at('master')}`
  }
}
