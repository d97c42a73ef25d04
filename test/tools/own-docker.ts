import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TEST_FOLDER_PREFIX } from './environment.ts'
import { until } from './shadow.ts'

const run = promisify(execFile)

/** A Docker daemon for one test, which can be ended and started without harm to the machine's daemon. */
export class OwnDocker implements AsyncDisposable {
  readonly #folder: string
  readonly #options: readonly string[]
  #daemon: ChildProcess | undefined

  private constructor(folder: string, options: readonly string[]) {
    this.#folder = folder
    this.#options = options
  }

  static async start(...options: string[]): Promise<OwnDocker> {
    const docker = new OwnDocker(await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX)), options)
    await docker.start()
    return docker
  }

  get socket(): string {
    return `${this.#folder}/docker.sock`
  }

  /** Resolves when the daemon answers; at once if it runs already. */
  async start(): Promise<void> {
    if (this.#runs) return
    const own = ['--data-root', `${this.#folder}/data`, '--exec-root', `${this.#folder}/exec`]
    const at = ['--pidfile', `${this.#folder}/pid`, '--host', `unix://${this.socket}`]
    // The packet filter belongs to the machine's own daemon, and its networks must not overlap ours. Never use --bridge=none: it removes
    // docker0.
    const net = ['--iptables=false', '--ip-masq=false']
    const pool = ['--default-address-pool', 'base=10.213.0.0/16,size=24']
    // A killed dockerd killed its containerd too. If nothing reaped that process, its pid file looks as if containerd were running.
    await rm(`${this.#folder}/exec/containerd/containerd.pid`, { force: true })
    await using log = await open(`${this.#folder}/log`, 'a')
    this.#daemon = spawn('dockerd', [...own, ...at, ...net, ...pool, ...this.#options], {
      stdio: ['ignore', log.fd, log.fd],
    })
    await until(() =>
      this.run('version').then(
        () => true,
        () => undefined,
      ),
    )
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || !this.#runs) return
    const ended = once(daemon, 'exit')
    daemon.kill(signal)
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
    await run('umount', ['--quiet', '--recursive', `${this.#folder}/data`]).catch(() => undefined) // dockerd bind-mounted the folder to itself
    await rm(this.#folder, { recursive: true, force: true })
  }
}
