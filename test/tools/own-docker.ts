import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { TEST_FOLDER_PREFIX } from './environment.ts'
import { here, type Place } from './place.ts'

const run = promisify(execFile)

/** A machine that starts several daemons at once may take its time. */
const START_WITHIN_MS = 120_000
/** A daemon may end while it starts, for example when its containerd was slow. */
const START_ATTEMPTS = 3
const LAST_LINES = 10

/** A Docker daemon for one test, which can be ended and started without harm to the machine's daemon. */
export class OwnDocker implements AsyncDisposable {
  readonly #folder: string
  readonly #options: readonly string[]
  readonly #place: Place
  #daemon: ChildProcess | undefined
  #hasStarted = false

  private constructor(folder: string, options: readonly string[], place: Place) {
    this.#folder = folder
    this.#options = options
    this.#place = place
  }

  static async start(...options: string[]): Promise<OwnDocker> {
    return OwnDocker.startAt(here, await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)), ...options)
  }

  /** Starts it with its files in the folder. */
  static async startAt(place: Place, folder: string, ...options: string[]): Promise<OwnDocker> {
    const docker = new OwnDocker(folder, options, place)
    try {
      await docker.start()
    } catch (error) {
      await docker.#remove()
      throw error
    }
    return docker
  }

  get socket(): string {
    return `${this.#folder}/docker.sock`
  }

  /** Resolves when the daemon answers; at once if it runs already. */
  async start(): Promise<void> {
    if (this.#runs) return
    for (let attempt = 1; !(await this.#startOnce()); attempt++) {
      if (attempt === START_ATTEMPTS)
        throw new Error(`dockerd does not start; its log ends with:\n${await this.#lastLines()}`)
    }
  }

  /** Starts the daemon's process; returns whether it answers before it ends. Fails if it does neither within START_WITHIN_MS. */
  async #startOnce(): Promise<boolean> {
    await using log = await open(this.#log, 'a')
    const own = ['--data-root', `${this.#folder}/data`, '--exec-root', `${this.#folder}/exec`]
    const at = ['--pidfile', `${this.#folder}/pid`, '--host', `unix://${this.socket}`]
    // The packet filter belongs to the machine's own daemon, and its networks must not overlap ours. Never use --bridge=none: it removes
    // docker0.
    const net = ['--iptables=false', '--ip-masq=false']
    // With a pool, a daemon that is started again removes docker0, also if it has another bridge. Its networks are in its data by then.
    const isAgain = this.#hasStarted && this.#options.includes('--bridge')
    const pool = isAgain ? [] : ['--default-address-pool', 'base=10.213.0.0/16,size=24']
    // A killed dockerd killed its containerd too. If nothing reaped that process, its pid file looks as if containerd were running.
    await rm(`${this.#folder}/exec/containerd/containerd.pid`, { force: true })
    this.#daemon = this.#place.spawn(['dockerd', ...own, ...at, ...net, ...pool, ...this.#options], {
      stdio: ['ignore', log.fd, log.fd],
      // A containerd that does not answer on a busy machine leaves its stacks there, and is started again.
      env: { ...process.env, TMPDIR: this.#folder },
    })
    const begun = performance.now()
    for (;;) {
      if (!this.#runs) return false
      if (await this.#answers()) {
        this.#hasStarted = true
        return true
      }
      if (performance.now() - begun > START_WITHIN_MS)
        throw new Error(`dockerd does not answer; its log ends with:\n${await this.#lastLines()}`)
      await setTimeout(100)
    }
  }

  #answers(): Promise<boolean> {
    return this.run('version').then(
      () => true,
      () => false,
    )
  }

  async #lastLines(): Promise<string> {
    return (await readFile(this.#log, 'utf8')).trimEnd().split('\n').slice(-LAST_LINES).join('\n')
  }

  get #log(): string {
    return `${this.#folder}/log`
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || !this.#runs) return
    const ended = once(daemon, 'exit')
    this.#place.signal(daemon, signal)
    await ended
  }

  get #runs(): boolean {
    return this.#daemon?.exitCode === null && this.#daemon.signalCode === null
  }

  /** Runs the docker client with this daemon and returns its output. */
  async run(...args: string[]): Promise<string> {
    return (await run('docker', ['--host', `unix://${this.socket}`, ...args])).stdout.trim()
  }

  /** Copies the image from the machine's own daemon. */
  async take(image: string): Promise<string> {
    const file = `${this.#folder}/image.tar`
    await run('docker', ['save', '--output', file, image])
    await this.run('load', '--input', file)
    return image
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [list, remove] of [
      ['ps --all --quiet', 'rm --force'],
      ['network ls --quiet --filter type=custom', 'network rm'],
    ] as const) {
      const left = await this.run(...list.split(' '))
      if (left !== '') await this.run(...remove.split(' '), ...left.split('\n'))
    }
    await this.end('SIGTERM')
    await this.#remove()
  }

  /** Ends the daemon, and removes its files. */
  async #remove(): Promise<void> {
    await this.end('SIGKILL')
    await run('umount', ['--quiet', '--recursive', `${this.#folder}/data`]).catch(() => undefined) // dockerd bind-mounted the folder to itself
    const hostNetwork = `${this.#folder}/exec/netns/default` // of containers and builds that use it
    await run('umount', ['--quiet', '--lazy', hostNetwork]).catch(() => undefined)
    await rm(this.#folder, { recursive: true, force: true })
  }
}
