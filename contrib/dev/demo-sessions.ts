// Shows an editor with one process for each document, and checks each step in real browsers: two people on one document share a process, a third document
// has its own, what nobody uses ends, and the next one with the key has the data. Exits 0 only if every step was as expected. Run it by `make demo-sessions`.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { freePort } from '../../src/testing/free-port.ts'
import { browser } from '../../test/tools/browser.ts'
import { until } from '../../test/tools/shadow.ts'
import { must, Narrator } from './fleet/narrator.ts'

const ROOT = join(import.meta.dirname, '../..')
const SHADOW = join(ROOT, 'bin/shadow')
const EXAMPLE = join(ROOT, 'contrib/examples/editor')
const NODE = `demo-sessions-${process.pid}`

const narrator = new Narrator()
const stack = new AsyncDisposableStack()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stack.disposeAsync().finally(() => process.exit(130)))

/** Starts a program; it is ended with the demo. */
function started(file: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
  stack.defer(async () => {
    if (child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    await ended
  })
}

const answers = async (url: string): Promise<true | undefined> =>
  fetch(url).then(
    () => true,
    () => undefined,
  )

/** A Shadow of its own beside whatever runs here, and the site of the editor; returns the URL of the site. */
async function start(): Promise<string> {
  narrator.title('One machine, by shadow up')
  const data = await mkdtemp(join(tmpdir(), 'shadow-demo-'))
  stack.defer(() => rm(data, { recursive: true, force: true }))
  const [front, master, node, door] = [await freePort(), await freePort(), await freePort(), await freePort()]
  started(SHADOW, ['up', '--data', data, '--listen', `127.0.0.1:${front}`], {
    SHADOW_NODE_NAME: NODE,
    SHADOW_MASTER_LISTEN: `127.0.0.1:${master}`,
    SHADOW_NODE_LISTEN: `127.0.0.1:${node}`,
  })
  narrator.cli = { shadow: SHADOW, env: { SHADOW_DATA: data } }
  await until(() => answers(`http://127.0.0.1:${front}/`))
  const token = (await until(() => readFile(join(data, 'tokens/admin'), 'utf8').catch(() => undefined))).trim()
  const env = { SHADOW_URL: `http://127.0.0.1:${master}`, SHADOW_TOKEN: token }
  started(join(ROOT, 'node_modules/.bin/node'), [join(EXAMPLE, 'door.ts'), String(door)], env)
  await until(() => answers(`http://127.0.0.1:${door}/`))
  return `http://127.0.0.1:${door}`
}

/** The image of the example, made without a registry. */
async function image(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-demo-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'node_modules'))
  for (const file of ['server.js', 'package.json']) await cp(join(EXAMPLE, file), join(folder, file))
  await cp(join(ROOT, 'node_modules/ws'), join(folder, 'node_modules/ws'), { recursive: true })
  const args = ['shadow-demo/editor', folder, 'node', 'node', '/srv/server.js']
  return (await promisify(execFile)(join(ROOT, 'contrib/dev/make-image'), args)).stdout.trim()
}

const processOf = (page: Page): Promise<string> => page.locator('#process').innerText()
const textIs = (page: Page, text: string) =>
  until(async () => ((await page.locator('#text').inputValue()) === text ? true : undefined))

async function show(site: string): Promise<void> {
  narrator.title('A template: an editor that holds one document')
  await narrator.shadow(`template create editor --image ${await image()} --volume 16MiB --idle-after 3s --ws hold`)

  narrator.title('Two browsers on one document share a process; another document has its own')
  const [anna, ben] = [await browser([]), await browser([])]
  stack.use(anna)
  stack.use(ben)
  const [a, b, other] = [await anna.open(), await ben.open(), await ben.open()]
  await a.goto(`${site}/documents/notes?user=anna`)
  await b.goto(`${site}/documents/notes?user=ben`)
  await other.goto(`${site}/documents/other?user=ben`)
  await a.locator('#text').fill('written by anna')
  await textIs(b, 'written by anna')
  const first = await processOf(a)
  must((await processOf(b)) === first, 'the two have not one process')
  must((await processOf(other)) !== first, 'the other document has not its own process')
  narrator.say(`anna and ben: process ${first}; the other document: ${await processOf(other)}`)
  await narrator.shadow('session ls')

  narrator.title('Both leave: the session ends, and its process with it')
  const { hostname } = new URL(a.url())
  await a.close()
  await b.close()
  const [slot] = hostname.split('.')
  await until(async () => {
    const listed = await narrator.quiet('session ls --json')
    return listed.includes(String(slot)) ? undefined : true
  })
  const ended = await narrator.shadow(`session show editor--${slot}`)
  must(ended.includes('swept'), 'it was not swept')

  narrator.title('The same key again: a new process, with the data of the last one')
  const again = await anna.open()
  await again.goto(`${site}/documents/notes?user=anna`)
  await textIs(again, 'written by anna')
  must((await processOf(again)) !== first, 'it is the process that has ended')
  narrator.say(`process ${await processOf(again)}: ${await again.locator('#text').inputValue()}`)

  narrator.title('A token that is revoked opens nothing')
  await narrator.shadow(`session revoke editor --user anna`)
  const refused = await again.reload()
  must(refused?.status() === 403, `the visitor got ${refused?.status()}`)
  narrator.say(`anna gets ${refused?.status()}`)
}

/** Containers outlive a Shadow that is stopped, so that sessions are ended before. */
async function endAll(): Promise<void> {
  const { items } = JSON.parse(await narrator.quiet('session ls --json')) as { items: { session: string }[] }
  for (const { session } of items) await narrator.shadow(`session end ${session} --hard`)
}

try {
  await show(await start())
  narrator.title('End it')
  await endAll()
  await stack.disposeAsync()
  narrator.say(`all of it was so, in ${narrator.seconds} s`)
} catch (error) {
  process.stderr.write(`\ndemo-sessions: ${error instanceof Error ? error.message : error}\n`)
  await endAll().catch(() => undefined) // the first error was told
  await stack.disposeAsync()
  process.exitCode = 1
}
