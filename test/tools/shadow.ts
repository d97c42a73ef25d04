import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import type { Register } from '../../src/api/schemas.ts'
import { startUp, type Up } from '../../src/cli/up.ts'
import { readUpConfig } from '../../src/cli/up-config.ts'
import { ShadowError } from '../../src/lib/errors.ts'
import { noLog } from '../../src/lib/log.ts'
import type { App } from '../../src/model/app.ts'
import type { InstanceView, LogLine, Phase } from '../../src/model/instance.ts'
import { NODE_ANNOUNCES_EVERY, NODE_LOST_AFTER } from '../../src/model/intervals.ts'
import { LeapingClock } from '../../src/testing/clock.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from './environment.ts'
import { nodeImage } from './images.ts'
import { removeNetworkOf } from './network.ts'
import { Visitor } from './visitor.ts'

const run = promisify(execFile)

type Step = Parameters<NonNullable<Parameters<typeof startUp>[1]['onStep']>>
type Options = {
  /** Settings by their environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** A data folder that the caller makes and removes. */
  readonly data?: string
}

/** For an app of the journeys' image that opens its port after `letGo`. */
export const WAITS = { volume: { size: '16MiB' }, env: { LISTEN_WHEN: '/data/go' } } as const

/** `shadow up` in this process, on a clock that can leap, and a visitor. */
export class Shadow extends Visitor implements AsyncDisposable {
  readonly clock = new LeapingClock()
  readonly data: string
  readonly node = `${TEST_NODE_PREFIX}${randomBytes(4).toString('hex')}`
  readonly #options: Options
  /** Called at each step of a wake or a sleep. */
  onStep: (...step: Step) => void = () => undefined
  #up: Up | undefined
  #admin: MasterClient | undefined

  private constructor(data: string, options: Options) {
    super(() => Number(new URL(this.up.frontUrl).port))
    this.data = data
    this.#options = options
  }

  static async start(options: Options = {}): Promise<Shadow> {
    const data = options.data ?? (await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)))
    const shadow = new Shadow(data, options)
    try {
      await shadow.startAgain()
    } catch (error) {
      await shadow[Symbol.asyncDispose]()
      throw error
    }
    return shadow
  }

  get up(): Up {
    if (this.#up === undefined) throw new Error('it does not run')
    return this.#up
  }

  get admin(): MasterClient {
    if (this.#admin === undefined) throw new Error('it does not run')
    return this.#admin
  }

  /** Starts it again on its data. */
  async startAgain(): Promise<void> {
    const env = {
      SHADOW_NODE_NAME: this.node,
      SHADOW_MASTER_LISTEN: '127.0.0.1:0',
      SHADOW_NODE_LISTEN: '127.0.0.1:0',
      SHADOW_WORKERS: process.env['SHADOW_TEST_WORKERS'], // every journey can run with several
      ...this.#options.env,
    }
    const config = readUpConfig(env, { data: this.data, listen: this.#up?.frontUrl.slice(7) ?? '127.0.0.1:0' })
    this.#up = await startUp(config, {
      clock: this.clock,
      log: noLog,
      onStep: (...step) => this.onStep(...step),
    })
    this.#admin = masterClient({ url: this.up.masterUrl, token: this.up.adminToken, withinMs: 60_000 })
  }

  /** Registers an app of the journeys' image. */
  register(name: string, definition: Partial<Register> = {}): Promise<App> {
    return register(this.admin, name, definition)
  }

  instance(app: string): Promise<InstanceView> {
    return this.admin.call('getInstance', { params: { app } })
  }

  sleep(app: string): Promise<InstanceView> {
    return this.admin.call('sleepApp', { params: { app } })
  }

  wake(app: string): Promise<InstanceView> {
    return this.admin.call('wakeApp', { params: { app } })
  }

  async logs(app: string): Promise<LogLine[]> {
    const { body } = await this.admin.raw('appLogs', { params: { app }, query: { tail: 1000 } })
    // A chunk may end within a line.
    return (await text(body)).split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line)]))
  }

  /** Resolves when the instance is in this phase, or the predicate is true. */
  async until(app: string, is: Phase | ((view: InstanceView) => boolean)): Promise<InstanceView> {
    const holds = typeof is === 'function' ? is : (view: InstanceView) => view.phase === is
    return until(async () => {
      const view = await this.instance(app)
      return holds(view) ? view : undefined
    })
  }

  /** Resolves when the app runs and waits for `letGo`. */
  async untilStarted(app: string): Promise<void> {
    await this.until(app, ({ phase, lastWake }) => phase === 'waking' && lastWake?.steps.start !== undefined)
  }

  /** Lets an app with `WAITS` open its port, by a file on its volume. At its next start it opens the port at once. */
  async letGo(app: string): Promise<void> {
    await this.untilStarted(app)
    await writeFile(`${this.data}/volumes/${app}/mnt/go`, '')
  }

  /** Resolves when the app has written a line that matches. */
  async untilLogged(app: string, pattern: RegExp): Promise<LogLine> {
    return until(async () => (await this.logs(app)).find(({ line }) => pattern.test(line)))
  }

  /** Resolves when it becomes true: for state that one daemon sends to another. */
  async eventually(holds: () => Promise<boolean>): Promise<void> {
    await until(async () => (await holds()) || undefined)
  }

  /**
   * Lets time pass, in steps that the daemons can follow: a node that cannot announce itself in between would count as lost. What the
   * steps themselves take counts, so that a slow machine lets no more time pass.
   */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    for (let left = ms; left > 0; left = until - this.clock.now()) {
      this.clock.leap(Math.min(left, NODE_ANNOUNCES_EVERY))
      await this.spoken()
    }
  }

  /** Resolves when the node has announced itself lately, as it does every few seconds. */
  async spoken(): Promise<void> {
    await until(async () => {
      const { items } = await this.admin.call('listNodes', {})
      const until = Date.parse(items.find(({ name }) => name === this.node)?.until ?? '')
      // An announcement that was under way when the clock leapt has an old time. The next leap makes the node announce itself again.
      return until > this.clock.wall() + NODE_LOST_AFTER - 2.5 * NODE_ANNOUNCES_EVERY || undefined
    })
  }

  /** Ids of the app's containers, whether they run or not. */
  containers(app: string): Promise<string[]> {
    return containersOf(this.node, app)
  }

  /** The mounts and loop devices below the data folder. */
  async mountsAndDevices(): Promise<string[]> {
    return (await traces()).filter(trace => trace.includes(`${this.data}/`))
  }

  /** Ends Shadow; the apps go on running. */
  async stop(): Promise<void> {
    await this.up.stop({ sleep: false })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A failed test may leave something waiting, such as an app with a long grace: that wait must not take real time.
    const hurry = setInterval(() => this.clock.leap(60_000), 100)
    await this.#up?.stop({ sleep: true }).catch(() => undefined) // containers are checked below; mounts and devices after all journeys
    clearInterval(hurry)
    const left = await containersOf(this.node)
    if (left.length > 0) await run('docker', ['rm', '--force', ...left])
    await removeNetworkOf(this.node)
    if (this.#options.data === undefined) await rm(this.data, { recursive: true, force: true })
  }
}

/** Registers an app of the journeys' image. */
export async function register(admin: MasterClient, name: string, definition: Partial<Register> = {}): Promise<App> {
  const image = definition.image ?? (await nodeImage())
  const sleep = { grace: '2s', ...definition.sleep }
  return admin.call('registerApp', { body: { ...definition, name, image, sleep } })
}

/** Ids of the containers of a node's apps, whether they run or not. */
export async function containersOf(node: string, app?: string): Promise<string[]> {
  const filters = ['--filter', `label=shadow.node=${node}`, '--filter', `label=shadow.app${app ? `=${app}` : ''}`]
  return (await run('docker', ['ps', '--all', '--quiet', '--no-trunc', ...filters])).stdout.split('\n').filter(Boolean)
}

/** Asks until there is an answer. The time limit is for tests that fail. */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const begun = performance.now()
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    const elapsed = performance.now() - begun
    if (elapsed > 30_000) throw new Error('it never came to be so')
    // A look may start a program. Without longer and longer pauses, waiting tests would take the processor from those that work.
    await wait(Math.min(Math.max(5, elapsed / 10), 200))
  }
}

/** For asserts: whether the error is a ShadowError with this code. */
export const isCode =
  (code: ShadowError['code'], message: RegExp = /./) =>
  (error: unknown): boolean =>
    error instanceof ShadowError && error.code === code && message.test(error.message)
