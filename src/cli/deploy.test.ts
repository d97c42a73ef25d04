import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { testMaster } from '../testing/masters.ts'
import { memoryStorage } from '../testing/memory-storage.ts'
import { run } from './run.ts'

const root = await mkdtemp(join(tmpdir(), 'shadow-test-deploy-'))
afterAll(() => rm(root, { recursive: true, force: true }))
let folder = ''
let number = 0
beforeEach(async () => {
  folder = join(root, `app-${++number}`)
  await mkdir(folder)
})

const files = async (texts: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text)
}

async function shadow(words: readonly string[], env: Record<string, string> = {}) {
  const terminal = new FakeTerminal({ env: { SHADOW_DATA: root, ...env } })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr }
}

test('init says what it found and why, and writes over nothing that is there', async () => {
  await files({ 'package.json': '{"scripts":{"start":"node server.js"},"dependencies":{"express":"5"}}' })
  const first = await shadow(['init', folder, '--app', 'blog'])
  assert.equal(first.exit, 0, first.err)
  assert.match(
    first.err,
    /^found: node: package.json with the script start: node server.js\nnote: there is no lock file/,
  )
  const text = await readFile(join(folder, 'shadow.toml'), 'utf8')
  assert.match(text, /^#:schema http:\/\/127.0.0.1:8080\/shadow.schema.json\n/)
  assert.match(text, /\napp = "blog"\n[\s\S]*\nsource = "."\n/)
  const again = await shadow(['init', folder])
  assert.deepEqual(
    [again.exit, again.err.split('\n')[0]],
    [4, `error: ${join(folder, 'shadow.toml')} is there; nothing was written`],
  )
  assert.equal((await shadow(['init', folder, '--force'])).exit, 0)
})

test('init takes a Dockerfile that is there, and writes one when asked to', async () => {
  await files({ Dockerfile: 'FROM scratch', 'server.js': '' })
  assert.match((await shadow(['init', folder])).err, /^found: a Dockerfile/)
  assert.match(await readFile(join(folder, 'shadow.toml'), 'utf8'), /\ndockerfile = "Dockerfile"\n/)
  const refused = await shadow(['init', folder, '--dockerfile'])
  assert.equal(refused.exit, 4)
  assert.equal((await shadow(['init', folder, '--dockerfile', '--force'])).exit, 0)
  assert.match(
    await readFile(join(folder, 'Dockerfile'), 'utf8'),
    /^FROM node:24-slim\n[\s\S]*CMD \["node","server.js"\]\n$/,
  )
  assert.match(await readFile(join(folder, '.dockerignore'), 'utf8'), /^node_modules$/m)
})

test('init of a folder with nothing that is known says what it looks for', async () => {
  const { exit, err } = await shadow(['init', folder])
  assert.equal(exit, 2)
  assert.match(err, /nothing that is known was found[\s\S]*hint: it looks for a Dockerfile, go.mod/)
})

test('a file that init wrote is one that deploy takes', async () => {
  await using on = await testMaster(memoryStorage(), new HandClock())
  const env = { SHADOW_URL: on.master.url, SHADOW_TOKEN: await on.master.token('admin') }
  assert.equal((await shadow(['init', folder, '--image', 'ghost:6', '--app', 'blog'])).exit, 0)
  const { exit, out, err } = await shadow(['deploy', folder], env)
  assert.equal(exit, 0, err)
  assert.equal(out, 'http://blog.localhost/\n')
  assert.match(err, /^ok {2}revision 1 of blog: image ghost:6 \(0.0 s\)\n/)
})

test('a deploy makes the app, then its next revision, and none if nothing differs', async () => {
  await using on = await testMaster(memoryStorage(), new HandClock())
  const env = { SHADOW_URL: on.master.url, SHADOW_TOKEN: await on.master.token('admin') }
  const text = (more = '') =>
    `app = "blog"\nimage = "ghost:6"\n[access]\nrate = "5/s"\n[wake]\n[scale]\nmax = 2\n[env]\nLEVEL = 3\n${more}`
  await files({ 'shadow.toml': text() })
  const revisions: unknown[] = []
  for (const more of ['', '', '[limits]\nmemory = "256MiB"\n']) {
    await files({ 'shadow.toml': text(more) })
    const { exit, out, err } = await shadow(['deploy', folder, '--json'], env)
    assert.equal(exit, 0, err)
    const { revision, unchanged } = JSON.parse(out)
    revisions.push([revision, unchanged])
  }
  assert.deepEqual(revisions, [
    [1, false],
    [1, true],
    [2, false],
  ])
  const app = await on.admin.call('getApp', { params: { app: 'blog' } })
  assert.deepEqual([app.task.env, app.access?.rate, app.task.limits.memory], [{ LEVEL: '3' }, '5/s', '256MiB'])
})

test('a dry run says what would change, and changes nothing', async () => {
  await using on = await testMaster(memoryStorage(), new HandClock())
  const env = { SHADOW_URL: on.master.url, SHADOW_TOKEN: await on.master.token('admin') }
  await files({ 'shadow.toml': 'app = "blog"\nimage = "ghost:6"\n' })
  assert.equal(
    (await shadow(['deploy', folder, '--dry-run'], env)).out,
    'blog would be registered, with image ghost:6\n',
  )
  await shadow(['deploy', folder], env)
  await files({ 'shadow.toml': 'app = "blog"\nimage = "ghost:7"\n[volume]\nsize = "1GiB"\n[env]\nA = "b"\n' })
  assert.equal(
    (await shadow(['deploy', folder, '--dry-run'], env)).out,
    'blog is at revision 1; the next one would run image ghost:7\nchanges: image ghost:6 → ghost:7, volume.size none → 1GiB, volume.path none → /data, env +A\n',
  )
  assert.equal((await on.admin.call('getApp', { params: { app: 'blog' } })).task.revision, 1)
})

test('a deploy with a wrong file names every fault and asks no master', async () => {
  await files({ 'shadow.toml': 'app = "blog"\nimage = "ghost:6"\nprot = 80\nport = "x"\n' })
  const { exit, err } = await shadow(['deploy', folder], { SHADOW_URL: 'http://127.0.0.1:1', SHADOW_TOKEN: 'x' })
  assert.equal(exit, 2)
  assert.match(
    err,
    /has 2 faults; nothing was changed\n {2}\S+shadow.toml:3:1: prot is not a known field; did you mean "port"\?\n {2}\S+shadow.toml:4:1: port = "x": must be a number\n/,
  )
})

test('a token without the right deploys nothing', async () => {
  await using on = await testMaster(memoryStorage(), new HandClock())
  const env = { SHADOW_URL: on.master.url, SHADOW_TOKEN: await on.master.token('proxy') }
  await files({ 'shadow.toml': 'app = "blog"\nimage = "ghost:6"\n' })
  const { exit, err } = await shadow(['deploy', folder], env)
  assert.equal(exit, 6)
  assert.match(err, /a token of the role proxy may not do this/)
})

test('the schema of shadow.toml is read from the master without a token', async () => {
  await using on = await testMaster(memoryStorage(), new HandClock())
  const answer = await fetch(`${on.master.url}/shadow.schema.json`)
  const { properties } = (await answer.json()) as { properties: object }
  assert.deepEqual([answer.status, 'dockerfile' in properties], [200, true])
})
