import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { FAKE_TOKEN, fakeMaster } from '../../src/testing/fake-master.ts'
import { installed } from '../tools/installed.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

let folder: string
let shadow: string
let built: Awaited<ReturnType<typeof installed>>

beforeAll(async () => {
  built = await installed()
  folder = built.folder
  shadow = built.shadow
})
afterAll(() => built[Symbol.asyncDispose]())

/** A module that makes the process print each module it loads. */
const TELLS_LOADS = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({ load(url, context, next) { process._rawDebug('loads ' + url); return next(url, context) } })
`)}`

async function loadedBy(args: string[], env: Record<string, string> = {}): Promise<string[]> {
  const options = { env: { ...process.env, ...env, NODE_OPTIONS: `--import=${TELLS_LOADS}` } }
  const { stderr } = await run(shadow, args, options)
  return [...stderr.matchAll(/^loads (.*)$/gm)].map(match => match[1] ?? '')
}

const HEAVY = /node_modules\/(dockerode|@aws-sdk|zod|zod-openapi|express|pino|lowdb)\b|\.ts$/

for (const line of [
  '--version',
  'ps',
  'ps --json',
  'register blog --image x',
  'help ps',
  'up --help',
  'master --help',
]) {
  test(`shadow ${line} loads no Docker, AWS, zod, express or pino`, async () => {
    await using master = await fakeMaster({
      listApps: () => ({ items: [], next: null }),
      listInstances: () => ({ items: [], silent: [] }),
      registerApp: () => ({ name: 'blog', domains: [], task: {} }),
    })
    const loads = await loadedBy(line.split(' '), { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN })
    assert.ok(
      loads.some(url => url.endsWith('/dist/shadow.js')),
      'the built CLI ran, and was watched',
    )
    assert.deepEqual(
      loads.filter(url => HEAVY.test(url)),
      [],
    )
  })
}

test('shadow --version starts through symlinks, relative ones too', async () => {
  const elsewhere = join(folder, 'elsewhere')
  await mkdir(elsewhere)
  await symlink('../bin/shadow', join(elsewhere, 'one'))
  await symlink('one', join(elsewhere, 'two'))
  assert.equal((await run(join(elsewhere, 'two'), ['--version'])).stdout, `${version}\n`)
  assert.equal((await run('./elsewhere/two', ['--version'], { cwd: folder })).stdout, `${version}\n`)
  assert.equal((await run('sh', ['shadow', '--version'], { cwd: join(folder, 'bin') })).stdout, `${version}\n`)
})

test('an installed package without a Node of its own takes the one on the PATH', async () => {
  const bare = join(folder, 'bare')
  await cp(join(folder, 'bin'), join(bare, 'bin'), { recursive: true })
  await cp(join(folder, 'dist'), join(bare, 'dist'), { recursive: true })
  const PATH = `${join(root, 'node_modules/.bin')}:${process.env['PATH']}`
  assert.equal((await run(join(bare, 'bin/shadow'), ['--version'], { env: { PATH } })).stdout, `${version}\n`)
})

test('without any Node, and without a build on an old Node, the launcher says what is missing', async () => {
  const source = join(folder, 'source')
  await cp(join(folder, 'bin'), join(source, 'bin'), { recursive: true })
  const old = join(folder, 'old')
  await mkdir(old)
  const launch = () => run('/bin/sh', [join(source, 'bin/shadow'), '--version'], { env: { PATH: old } })
  await assert.rejects(launch, {
    code: 1,
    stderr: /^error: shadow needs Node 24, and there is no node on the PATH\nhint: /,
  })
  await writeFile(join(old, 'node'), '#!/bin/sh\n[ "$1" = --version ] && echo v20.1.0 || echo true\n')
  await chmod(join(old, 'node'), 0o755)
  await assert.rejects(launch, { code: 1, stderr: /^error: shadow needs Node 24; .*\/old\/node is v20.1.0\nhint: / })
})

test('the built CLI on an old Node says so and nothing else', async () => {
  const old = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.1.0'}})`
  const options = { env: { ...process.env, NODE_OPTIONS: `--import=${old}` } }
  await assert.rejects(run(shadow, ['--version'], options), {
    code: 1,
    stdout: '',
    stderr: 'error: shadow needs Node 24 or later; this is 20.1.0\n',
  })
})

test('a reader that leaves early ends the CLI quietly', async () => {
  const child = spawn(shadow, ['help', 'errors'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy() // long before the first byte of output
  const [stderr, [exit]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.deepEqual([exit, stderr], [0, ''])
})

test('variables of an app are not options of Node: NODE_OPTIONS in an --env-file runs nothing, and a missing file is our error', async () => {
  await using master = await fakeMaster({ registerApp: () => ({ name: 'blog', domains: [], task: {} }) })
  const env = { ...process.env, SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }
  const file = join(folder, 'app.env')
  const option = `--import=data:text/javascript,${encodeURIComponent("process._rawDebug('it ran')")}`
  await writeFile(file, `NODE_OPTIONS=${option}\nSHADOW_URL=http://127.0.0.1:1\n`)
  const { stderr } = await run(shadow, ['register', 'blog', '--image', 'x', '--env-file', file], { env })
  assert.equal(stderr, 'blog is registered; its first request wakes it\n')
  assert.deepEqual((master.calls[0] as { body: { env: object } }).body.env, {
    NODE_OPTIONS: option,
    SHADOW_URL: 'http://127.0.0.1:1',
  })
  await assert.rejects(run(shadow, ['register', 'blog', '--image', 'x', '--env-file', '/nowhere'], { env }), {
    code: 2,
    stderr: /^error: .*\n {2}--env-file: .*\/nowhere/,
  })
})

test('an output that cannot be written is an error of one line', async () => {
  const command = '"$0" help errors > /dev/full'
  await assert.rejects(run('sh', ['-c', command, shadow]), {
    code: 1,
    stderr: /^error: the output cannot be written: ENOSPC.*\n$/,
  })
})

test('contexts that many commands add at once are all kept', async () => {
  const env = { ...process.env, XDG_CONFIG_HOME: join(folder, 'config') }
  const names = Array.from({ length: 12 }, (_, i) => `c${i}`)
  await Promise.all(
    names.map(name => run(shadow, ['context', 'add', name, '--url', 'http://m', '--token', 't'], { env })),
  )
  const { stdout } = await run(shadow, ['context', 'ls', '--json'], { env })
  assert.deepEqual(
    (JSON.parse(stdout) as { contexts: { name: string }[] }).contexts.map(({ name }) => name).sort(),
    names.toSorted(),
  )
})
