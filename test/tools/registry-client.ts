import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { builtImage } from './images.ts'

const run = promisify(execFile)

/** A docker client with a configuration of its own, that removes the images which it made. */
export class RegistryClient implements AsyncDisposable {
  readonly #folder: string
  readonly #made = new Set<string>()

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async open(): Promise<RegistryClient> {
    return new RegistryClient(await mkdtemp(join(tmpdir(), 'shadow-test-docker-')))
  }

  get folder(): string {
    return this.#folder
  }

  async docker(...args: string[]): Promise<string> {
    return (await run('docker', ['--config', this.#folder, ...args], { maxBuffer: 2 ** 26 })).stdout
  }

  async login(host: string, token: string): Promise<string> {
    const calling = run('docker', ['--config', this.#folder, 'login', '-u', 'anna', '--password-stdin', host])
    calling.child.stdin?.end(token)
    return (await calling).stdout
  }

  /** Builds an image with these lines of a Dockerfile, under this name. */
  async build(name: string, ...lines: string[]): Promise<string> {
    const image = await builtImage(`pushed-${this.#made.size}`, ...lines)
    this.#made.add(image)
    await this.tag(image, name)
    return name
  }

  async tag(image: string, name: string): Promise<void> {
    await this.docker('tag', image, name)
    this.#made.add(name)
  }

  async idOf(name: string): Promise<string> {
    return (await this.docker('image', 'inspect', '--format', '{{.Id}}', name)).trim()
  }

  /** Removes all images that were built. */
  async forget(): Promise<void> {
    if (this.#made.size > 0) await this.docker('rmi', '--force', ...this.#made)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forget()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
