import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { resticHere } from '../../src/testing/restic.ts'
import { dockerHost } from './docker-host.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from './environment.ts'

const ROOT = join(import.meta.dirname, '../..')

const run = promisify(execFile)
const restic = resticHere()

/** A command that runs until it is ended. */
const DAEMON = /^(?:\w+=(?:"[^"]*"|'[^']*'|\S+) +)*shadow (up|master|nodeproxy|proxy)\b(?! join| token)/
/** What each daemon logs once it serves. */
const SERVES = { up: 'shadow is up', master: 'master listens', nodeproxy: 'node ready', proxy: 'front ready' } as const
type Kind = keyof typeof SERVES

/** The daemon that the last line of the text starts, if any. */
export const daemonOf = (text: string): Kind | undefined =>
  DAEMON.exec(text.slice(text.lastIndexOf('\n') + 1))?.[1] as Kind | undefined

/**
 * A person who follows a page of the documentation: one terminal for commands, in which variables stay set, and one for each daemon.
 * The folder looks like a checkout. A Shadow that already runs on this machine is not disturbed: data folder, ports and node name are the
 * reader's own, and curl maps the usual ports to them.
 */
export class Reader implements AsyncDisposable {
  readonly #folder: string
  /** The name of this reader's node. */
  readonly node: string
  readonly #daemons = new Map<Kind, ChildProcess>()

  private constructor(folder: string, node: string) {
    this.#folder = folder
    this.node = node
  }

  static async start(): Promise<Reader> {
    const folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
    for (const name of await readdir(ROOT)) if (name !== '.git') await symlink(join(ROOT, name), join(folder, name))
    await mkdir(join(folder, '.home'))
    const reader = new Reader(folder, `${TEST_NODE_PREFIX}${randomBytes(4).toString('hex')}`)
    await writeFile(reader.#state, '')
    return reader
  }

  /** Types the commands and returns their output. If the last line starts a daemon, it is typed in another terminal. */
  async type(text: string): Promise<string> {
    // Pages say so in prose: the data folder of shadow up becomes that of a cluster's master.
    if (/\bshadow cluster init\b/.test(text)) await this.#end('up')
    const kind = daemonOf(text)
    const last = kind === undefined ? text.length : text.lastIndexOf('\n') + 1
    const printed = await this.#run(text.slice(0, last))
    if (kind !== undefined) await this.#start(kind, text.slice(last))
    return printed
  }

  async #run(text: string): Promise<string> {
    const file = join(this.#folder, '.home/typed')
    await writeFile(file, `set -euo pipefail\n. '${this.#state}'\n${text}\nexport -p >'${this.#state}'\n`)
    const child = spawn('bash', ['-c', `exec bash '${file}' 2>&1 </dev/null`], this.#given())
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', piece => (printed += piece))
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`it ended with ${code} and said:\n${printed}`)
    return printed
  }

  async #start(kind: Kind, line: string): Promise<void> {
    // A page that starts the daemon again asks the reader to end the first one.
    await this.#end(kind)
    // The reader's name of the node is for shadow up; a node has the name of its line, or the one that it joined a cluster by.
    const unnamed = kind === 'up' ? '' : 'unset SHADOW_NODE_NAME; '
    const child = spawn('bash', ['-c', `. '${this.#state}'; ${unnamed}${line}`], { ...this.#given(), detached: true })
    child.stdout.resume()
    this.#daemons.set(kind, child)
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', piece => {
        said += piece
        if (said.includes(SERVES[kind])) resolve()
      })
      child.on('close', code => reject(new Error(`${line}\nended with ${code} and said:\n${said}`)))
    })
    if (kind === 'up') await this.#leadPorts()
  }

  // Does what Ctrl-C does in that terminal: apps are put to sleep.
  async #end(kind: Kind): Promise<void> {
    const child = this.#daemons.get(kind)
    if (child?.pid === undefined) return
    this.#daemons.delete(kind)
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    process.kill(-child.pid, 'SIGINT')
    await closed
  }

  /** Maps the ports of `shadow up` that pages name to the ports where this one listens. */
  async #leadPorts(): Promise<void> {
    const { front, master } = JSON.parse(await readFile(join(this.#folder, '.home/data/up.json'), 'utf8'))
    const lead = (from: number, to: string): string => `connect-to = ":${from}:127.0.0.1:${new URL(to).port}"\n`
    await writeFile(
      join(this.#folder, '.home/.curlrc'),
      `silent\nshow-error\n${lead(8090, front)}${lead(8080, master)}`,
    )
  }

  get #state(): string {
    return join(this.#folder, '.home/state')
  }

  #given() {
    const home = join(this.#folder, '.home')
    const { PATH, HOME, TMPDIR, SHADOW_CACHE } = process.env
    const env = {
      PATH: `${this.#folder}/bin:${PATH}:/usr/sbin:/sbin`,
      HOME,
      ...(TMPDIR !== undefined && { TMPDIR }),
      ...(SHADOW_CACHE !== undefined && { SHADOW_CACHE }),
      ...dockerHost(),
      CI: 'true',
      CURL_HOME: home,
      XDG_CONFIG_HOME: `${home}/config`,
      // The build of make demo would leave its own beside the folder of the reader, and the journeys fail if anything is left.
      NODE_COMPILE_CACHE: `${home}/compiled`,
      SHADOW_DATA: `${home}/data`,
      SHADOW_NODE_NAME: this.node,
      SHADOW_MASTER_LISTEN: '127.0.0.1:0',
      SHADOW_NODE_LISTEN: '127.0.0.1:0',
      SHADOW_LISTEN: '127.0.0.1:0',
      ...(restic !== undefined && { SHADOW_RESTIC: restic }),
    }
    return { cwd: this.#folder, env }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Callers end before the daemons that they call.
    for (const kind of ['proxy', 'nodeproxy', 'master', 'up'] as const) await this.#end(kind)
    await rm(this.#folder, { recursive: true })
  }
}

/** Makes the image of the example, which transcripts begin with. */
export const makeExample = () => run(join(ROOT, 'contrib/examples/build-image'), ['notes'])
