// Shows a day with an app from a folder, Express with SQLite, and checks each step: init, deploy, a second deploy under load without a failed
// request, a rollback, a snapshot, a fork, a backup, and the ways back. Exits 0 only if every step was as expected. Run it by `make demo-deploy`.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../src/testing/free-port.ts'
import { npmImage } from '../../test/tools/images.ts'
import { until } from '../../test/tools/shadow.ts'
import { must, Narrator } from './fleet/narrator.ts'

const ROOT = join(import.meta.dirname, '../..')
const SHADOW = join(ROOT, 'bin/shadow')
const APP = 'guestbook'
const NODE = `demo-deploy-${process.pid}`

const narrator = new Narrator()
const stack = new AsyncDisposableStack()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stack.disposeAsync().finally(() => process.exit(130)))

/** Starts a Shadow of its own beside whatever runs here; returns the port of its front. */
async function started(): Promise<number> {
  narrator.title('One machine, by shadow up')
  const data = await mkdtemp(join(tmpdir(), 'shadow-demo-'))
  stack.defer(() => rm(data, { recursive: true, force: true }))
  const { stdout: found } = await promisify(execFile)(join(ROOT, 'contrib/dev/find-restic'), ['--make'])
  const restic = found.trim()
  must(
    restic !== '',
    'there is no restic 0.16 or later, and no Go to build it with: docs/backups.md says where to get it',
  )
  const [front, master, node] = [await freePort(), await freePort(), await freePort()]
  const env = {
    ...process.env,
    SHADOW_NODE_NAME: NODE,
    SHADOW_MASTER_LISTEN: `127.0.0.1:${master}`,
    SHADOW_NODE_LISTEN: `127.0.0.1:${node}`,
    // So that npm reaches its registry in the way in which this machine does.
    SHADOW_BUILD_NETWORK: 'host',
    SHADOW_RESTIC: restic,
  }
  const up = spawn(SHADOW, ['up', '--data', data, '--listen', `127.0.0.1:${front}`], { env, stdio: 'ignore' })
  stack.defer(async () => {
    if (up.exitCode !== null) return
    const ended = once(up, 'exit')
    up.kill('SIGINT')
    await ended
  })
  stack.defer(async () => {
    const images = await docker('images', '--quiet', '--filter', `label=shadow.built-for=${APP}`)
    if (images !== '') await docker('rmi', '--force', ...new Set(images.split('\n'))).catch(() => undefined) // one may be in use
  })
  narrator.cli = { shadow: SHADOW, env: { SHADOW_DATA: data } }
  await until(async () => (await ask(front, 'GET').catch(() => undefined)) || undefined)
  return front
}

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()

/** The example in a folder of its own. */
async function folderOf(): Promise<string> {
  const base = await mkdtemp(join(tmpdir(), 'shadow-demo-'))
  stack.defer(() => rm(base, { recursive: true, force: true }))
  const folder = join(base, APP)
  await cp(join(ROOT, 'contrib/examples', APP), folder, { recursive: true })
  return folder
}

async function show(front: number, folder: string): Promise<void> {
  narrator.title('A folder with package.json and server.js becomes an app')
  await narrator.shadow(`init ${folder}`)
  narrator.say('we give it a volume and a health check, and a base image that needs no registry')
  const base = await npmImage()
  const more = `\n[volume]\nsize = "64MiB"\n\n[checks]\nready = "http:/healthz"\n\n[build]\nbase = "${base}"\n`
  await appendFile(join(folder, 'shadow.toml'), more)
  await narrator.shadow(`deploy ${folder} --wait`)
  for (const guest of ['Anna', 'Ben'])
    must((await ask(front, 'POST', guest)).status === 201, 'the guest was not written')
  must((await say(front)).includes('- Anna'), 'the first guest is gone')

  narrator.title('A second deploy, while requests come all the time')
  const server = join(folder, 'server.js')
  const before = await readFile(server, 'utf8')
  await writeFile(server, before.replace('Guests of this house', 'Friends of this house'))
  const load = new Load(front)
  await narrator.shadow(`deploy ${folder}`)
  await until(async () => (await ask(front, 'GET')).text.startsWith('Friends') || undefined)
  const { answered, failed } = await load.end()
  narrator.say(`${answered} requests were answered, ${failed.length} failed`)
  must(failed.length === 0, `a request failed: ${failed[0]}`)
  must((await say(front)).includes('- Anna'), 'the first guest is gone')

  narrator.title('Back to the first release')
  await narrator.shadow(`rollback ${APP} 1`)
  await until(async () => (await ask(front, 'GET')).text.startsWith('Guests') || undefined)
  await say(front)
  await narrator.shadow(`releases ${APP}`)
  await showData(front)

  narrator.title('Look inside')
  await narrator.shadow(`exec ${APP} -- ls -l /srv /data`)
  narrator.title('What it has used')
  const usage = await narrator.shadow('usage')
  must(usage.includes(APP), 'the app is not in the table')
}

/** What is done with the data of an app: a snapshot, a fork, a backup, and the ways back. */
async function showData(front: number): Promise<void> {
  narrator.title('A snapshot of its data, and a fork of the app')
  await narrator.shadow(`volume snapshot ${APP} --name before`)
  await narrator.shadow(`fork ${APP} ${APP}-test`)
  await ask(front, 'POST', 'Cleo')
  const fork = await ask(front, 'GET', undefined, `${APP}-test`)
  must(fork.text.includes('- Ben') && !fork.text.includes('- Cleo'), 'the fork has not the data of its moment')
  await narrator.shadow(`remove ${APP}-test --with-volume --yes`)
  await narrator.shadow(`volume restore ${APP} before`)
  must(!(await say(front)).includes('- Cleo'), 'the snapshot was not restored')

  narrator.title('A backup, by restic, and the way back')
  await narrator.shadow(`backup ${APP}`)
  await ask(front, 'POST', 'Dora')
  await narrator.shadow(`backup verify ${APP}`)
  await narrator.shadow(`restore ${APP} --yes`)
  must(!(await say(front)).includes('- Dora'), 'the backup was not restored')
  await narrator.shadow(`restore ${APP} --undo --yes`)
  must((await say(front)).includes('- Dora'), 'the restore was not undone')
  await narrator.shadow('volume ls')
}

type Answer = { readonly status: number; readonly text: string }

function ask(port: number, method: string, body?: string, app = APP): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${app}.localhost` }
    const asked = request({ host: '127.0.0.1', port, method, headers, timeout: 30_000 }, async response => {
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      resolve({ status: response.statusCode ?? 0, text })
    })
    asked.on('error', reject).end(body)
  })
}

async function say(port: number): Promise<string> {
  const { text } = await ask(port, 'GET')
  narrator.say(`GET http://${APP}.localhost/: ${text.trim().replaceAll('\n', ', ')}`)
  return text
}

/** Four clients, each of which sends a request as soon as the last one was answered. */
class Load {
  answered = 0
  readonly failed: string[] = []
  readonly #clients: Promise<void>[]
  #isOver = false

  constructor(port: number) {
    this.#clients = Array.from({ length: 4 }, () => this.#client(port))
  }

  async #client(port: number): Promise<void> {
    while (!this.#isOver) {
      const answer = await ask(port, 'GET').catch((error: Error) => error)
      if (answer instanceof Error) this.failed.push(answer.message)
      else if (answer.status !== 200) this.failed.push(`${answer.status} ${answer.text.slice(0, 200)}`)
      else this.answered += 1
      await pause(10)
    }
  }

  async end(): Promise<Load> {
    this.#isOver = true
    await Promise.all(this.#clients)
    return this
  }
}

try {
  const front = await started()
  await show(front, await folderOf())
  narrator.title('End it')
  await narrator.shadow(`remove ${APP} --with-volume --yes`)
  await stack.disposeAsync()
  narrator.say(`all of it was so, in ${narrator.seconds} s`)
} catch (error) {
  process.stderr.write(`\ndemo-deploy: ${error instanceof Error ? error.message : error}\n`)
  await stack.disposeAsync()
  process.exitCode = 1
}
