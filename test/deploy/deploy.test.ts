import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { busyboxImage, npmImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXAMPLE = join(ROOT, 'contrib/examples/guestbook')

let shadow: Shadow
let folder: string
let token: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  // The containers of this machine reach the package registry by its own network alone.
  shadow = await Shadow.start({ env: { SHADOW_BUILD_NETWORK: 'host' } })
  token = (await shadow.admin.call('createToken', { body: { name: 'test', role: 'admin' } })).token
})
afterAll(async () => {
  const of = (filter: string) => docker('images', '--quiet', '--filter', filter)
  // One that was built here and sent has no label.
  const found = await Promise.all([of('label=shadow.built-for'), of('reference=master.shadow/here')])
  const images = found.flatMap(ids => ids.split('\n')).filter(Boolean)
  await shadow[Symbol.asyncDispose]()
  if (images.length > 0) await docker('rmi', '--force', ...new Set(images)).catch(() => undefined) // another test may use one
  await rm(folder, { recursive: true, force: true })
})

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
const env = (): Record<string, string> => ({
  SHADOW_URL: shadow.up.masterUrl,
  SHADOW_TOKEN: token,
  SHADOW_DATA: folder,
})

async function cli(...words: string[]): Promise<{ exit: number; out: string; err: string }> {
  const terminal = new FakeTerminal({ env: env() })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr }
}

async function folderOf(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const at = join(folder, name)
  await cp(EXAMPLE, at, { recursive: true, filter: path => Object.keys(files).length === 0 || path === EXAMPLE })
  for (const [file, text] of Object.entries(files)) await writeFile(join(at, file), text)
  return at
}

test('an Express app with SQLite runs from its folder; a change of its source alone builds nothing, and its data stays', async () => {
  const at = await folderOf('guestbook', {})
  const made = await cli('init', at)
  assert.match(made.err, /^found: node: package.json with the script start: node server.js\n/)
  const more = `\n[volume]\nsize = "64MiB"\n\n[build]\nbase = "${await npmImage()}"\n\n[checks]\nready = "http:/healthz"\n`
  await appendFile(join(at, 'shadow.toml'), more)

  const first = await cli('deploy', at, '--wait')
  assert.equal(first.exit, 0, first.err)
  assert.match(first.err, /ok {2}sent the source: [0-9a-f]{12} [\s\S]*RUN npm ci[\s\S]*ok {2}revision 1 of guestbook/)
  assert.equal((await shadow.ask('guestbook', '/', { method: 'POST', body: 'Anna' })).status, 201)
  assert.equal((await shadow.ask('guestbook')).text, 'Guests of this house:\n- Anna\n')

  const server = join(at, 'server.js')
  await writeFile(server, (await readFile(server, 'utf8')).replace('Guests of this house', 'Friends'))
  const second = await cli('deploy', at)
  assert.equal(second.exit, 0, second.err)
  assert.match(second.err, /RUN npm ci --omit=dev \(cached\)[\s\S]*ok {2}revision 2 of guestbook/)
  // An app with a volume: its requests are held while it changes over.
  assert.deepEqual(stagesOf(second.err), ['checking', 'holding', 'starting', 'ready', 'switched'])
  assert.match(second.err, /\nok {2}revision 2 serves \(/)
  assert.equal((await shadow.ask('guestbook')).text, 'Friends:\n- Anna\n')

  const third = await cli('deploy', at)
  assert.match(third.err, /the source is there already[\s\S]*nothing has changed: revision 2 of guestbook/)
})

/** The stages of the rollout, as the deploy shows them. */
const stagesOf = (said: string): readonly string[] =>
  [...said.matchAll(/^ {4}release \d+, on \S+: (\S+)/gm)].map(([, stage = '']) => stage)

const SERVES = 'CMD ["sh", "-c", "exec httpd -f -p $PORT -h /srv"]\n'
const toml = (app: string) => `app = "${app}"\ndockerfile = "Dockerfile"\n[sleep]\ngrace = "1s"\n`

test('a build that fails shows its log, changes nothing, and ends with 9', async () => {
  const base = await busyboxImage()
  const at = await folderOf('site', {
    'shadow.toml': toml('site'),
    Dockerfile: `FROM ${base}\nRUN echo one > /srv/index.html\n${SERVES}`,
  })
  assert.equal((await cli('deploy', at, '--wait')).exit, 0)
  assert.equal((await shadow.ask('site')).text, 'one\n')

  await writeFile(join(at, 'Dockerfile'), `FROM ${base}\nRUN echo what is wrong; exit 3\n${SERVES}`)
  const { exit, err } = await cli('deploy', at)
  assert.equal(exit, 9)
  assert.match(
    err,
    /\n {4}what is wrong\nerror: the build failed, at Step 2\/\d: RUN [\s\S]*returned a non-zero code: 3\n/,
  )
  const gone = await folderOf('gone', { 'shadow.toml': toml('site'), Dockerfile: 'FROM shadow-test/is-not-here\n' })
  const refused = await cli('deploy', gone)
  assert.equal(refused.exit, 5)
  assert.match(refused.err, /a base image of the build is not on the node and cannot be pulled[\s\S]*hint: /)
  assert.equal((await shadow.ask('site')).text, 'one\n')
  assert.equal((await shadow.instance('site')).revision, 1)

  await writeFile(join(at, 'Dockerfile'), `FROM ${base}\nRUN echo three > /srv/index.html\n${SERVES}`)
  const mended = await cli('deploy', at, '--json')
  assert.equal(mended.exit, 0, mended.err)
  assert.deepEqual(stagesOf(mended.err).slice(0, 4), ['checking', 'starting', 'ready', 'switched'])
  assert.deepEqual([JSON.parse(mended.out).revision, JSON.parse(mended.out).phase], [2, 'awake'])
  await shadow.sleep('site')
  await writeFile(join(at, 'Dockerfile'), `FROM ${base}\nRUN echo four > /srv/index.html\n${SERVES}`)
  const asleep = await cli('deploy', at)
  assert.match(asleep.err, /\nok {2}it sleeps, and its next wake runs revision 3 \(/)
})

test('a Dockerfile that needs BuildKit is built by it, which the log says, and its steps are cached', async () => {
  const base = await busyboxImage()
  // A cache of this run alone: Docker keeps caches, and gives them to every build of the same mount.
  const cache = `--mount=type=cache,id=shadow-test-${process.pid}-${Date.now()},target=/cache`
  const made = `RUN ${cache} echo once >> /cache/x; cat /cache/x > /srv/index.html`
  const at = await folderOf('kit', {
    'shadow.toml': toml('kit'),
    Dockerfile: `FROM ${base}\n${made}\n${SERVES}`,
  })
  const first = await cli('deploy', at, '--wait')
  assert.equal(first.exit, 0, first.err)
  assert.match(first.err, /\n {4}built by BuildKit, without a limit[\s\S]*\n {4}\[.*2\/2\] RUN --mount=type=cache/)
  assert.equal((await shadow.ask('kit')).text, 'once\n')
  const second = await cli('deploy', at)
  assert.match(second.err, /RUN --mount=type=cache.* \(cached\)\n[\s\S]*nothing has changed/)

  await writeFile(join(at, 'Dockerfile'), `FROM ${base}\nRUN --mount=type=cache,target=/c echo what is wrong; exit 3\n`)
  const failed = await cli('deploy', at)
  assert.equal(failed.exit, 9)
  assert.match(failed.err, /\n {4}what is wrong\nerror: the build failed, at \[.*2\/2\] RUN .*: exit code: 3/)
})

test('an image that never listens is not taken: its last lines are shown, and the old release serves on', async () => {
  const base = await busyboxImage()
  const file = (text: string) => `${toml('mute')}${text}`
  const at = await folderOf('mute', {
    'shadow.toml': file(''),
    Dockerfile: `FROM ${base}\nRUN echo one > /srv/index.html\n${SERVES}`,
  })
  assert.equal((await cli('deploy', at, '--wait')).exit, 0)
  await writeFile(join(at, 'Dockerfile'), `FROM ${base}\nCMD ["sh", "-c", "echo no port for me; sleep 1; exit 4"]\n`)
  const { exit, err } = await cli('deploy', at)
  assert.equal(exit, 5)
  assert.match(err, /revision 2 of mute is not taken, revision 1 serves on: [\s\S]*no port for me/)
  assert.deepEqual(stagesOf(err), ['checking', 'starting', 'rejected'])
  assert.equal((await shadow.ask('mute')).text, 'one\n')
})

test('Ctrl-C during a build ends the build on the node', async () => {
  const mark = `sleep ${1_000_000 + process.pid}`
  const at = await folderOf('slow', {
    'shadow.toml': toml('slow'),
    Dockerfile: `FROM ${await busyboxImage()}\nRUN ${mark}\n`,
  })
  const running = async (): Promise<boolean> =>
    (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(mark)
  const child = spawn(join(ROOT, 'node_modules/.bin/node'), [join(ROOT, 'src/cli/main.ts'), 'deploy', at], {
    env: { ...process.env, ...env() },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  await until(async () => (await running()) || undefined)
  child.kill('SIGINT')
  assert.deepEqual(await ended, [null, 'SIGINT'])
  await until(async () => !(await running()) || undefined)
  assert.deepEqual((await cli('ps', '--json')).out.includes('"slow"'), false)
})

test('an image that is built here is sent to the node', async () => {
  const at = await folderOf('here', {
    'shadow.toml': toml('here'),
    Dockerfile: `FROM ${await busyboxImage()}\nRUN echo from here > /srv/index.html\n${SERVES}`,
  })
  const { exit, err } = await cli('deploy', at, '--local', '--wait')
  assert.equal(exit, 0, err)
  assert.match(err, /ok {2}built here by docker [\s\S]*ok {2}sent as master.shadow\/here:[0-9a-f]{12}/)
  assert.equal((await shadow.ask('here')).text, 'from here\n')

  await writeFile(join(at, 'shadow.toml'), `${toml('here')}[build]\nbuilder = "nixpacks"\n`)
  const without = await cli('deploy', at)
  assert.deepEqual([without.exit, without.err.split('\n')[0]], [2, 'error: nixpacks is not installed on this machine'])
})
