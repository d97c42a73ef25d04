import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { Shadow } from '../tools/shadow.ts'

let here: Shadow
let folder: string
beforeAll(async () => {
  here = await Shadow.start()
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-copies-'))
  await here.register('blog', { volume: { size: '64MiB' } })
})
afterAll(async () => {
  await here?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function shadow(line: string, stdin?: Buffer) {
  const env = { SHADOW_URL: here.up.masterUrl, SHADOW_TOKEN: here.up.adminToken }
  const terminal = new FakeTerminal({ env, now: Date.now(), ...(stdin && { stdin: Readable.from([stdin]) }) })
  const exit = await run(line.split(' '), terminal)
  return { exit, err: terminal.stderr, bytes: Buffer.concat(terminal.bytes) }
}
async function good(line: string, stdin?: Buffer) {
  const done = await shadow(line, stdin)
  assert.equal(done.exit, 0, done.err)
  return done
}
const local = (...path: string[]) => join(folder, ...path)
const inApp = async (name: string) => (await here.ask('blog', `/files/${name}`)).text

test('a file and a folder go into an app that is asleep, which wakes, and come out as they were', async () => {
  await mkdir(local('site/deep'), { recursive: true })
  await writeFile(local('site/deep/page'), 'a page')
  await writeFile(local('site/run'), '#!/bin/sh\n')
  await chmod(local('site/run'), 0o755)
  await symlink('deep/page', local('site/link'))
  await writeFile(local('one'), 'one file')

  assert.match((await good(`cp ${local('one')} blog:/data/`)).err, /is copied to blog:\/data\/one/)
  assert.equal(await inApp('one'), 'one file')
  await good(`cp ${local('one')} blog:/data/renamed`)
  assert.equal(await inApp('renamed'), 'one file')
  await good(`cp ${local('site')} blog:/data`)
  await good(`cp ${local('site')} blog:/data/other`)
  await here.sleep('blog')

  await mkdir(local('out'))
  await good(`cp blog:/data/renamed ${local('out')}`)
  assert.equal(await readFile(local('out/renamed'), 'utf8'), 'one file')
  await good(`cp blog:/data/renamed ${local('out/named')}`)
  assert.equal(await readFile(local('out/named'), 'utf8'), 'one file')
  await good(`cp blog:/data/site ${local('out')}`)
  await good(`cp blog:/data/other ${local('fresh')}`)
  for (const at of ['out/site', 'fresh']) {
    assert.equal(await readFile(local(at, 'deep/page'), 'utf8'), 'a page')
    assert.equal(await readlink(local(at, 'link')), 'deep/page')
    assert.equal((await stat(local(at, 'run'))).mode & 0o777, 0o755)
  }
})

test('a stream of tar goes both ways', async () => {
  const { bytes } = await good('cp blog:/data/site -')
  await here.ask('blog', '/files/before', { method: 'PUT', body: 'still there' })
  await good('cp - blog:/tmp', bytes)
  await good(`cp blog:/tmp/site/deep/page ${local('from-tmp')}`)
  assert.equal(await readFile(local('from-tmp'), 'utf8'), 'a page')
})

test('no link, and no path, leads to a file of the machine, and none out of the folder here', async () => {
  await writeFile(local('secret'), 'of the machine')
  await mkdir(local('evil'))
  await symlink(folder, local('evil/absolute'))
  await good(`cp ${local('evil')} blog:/data`)
  for (const path of ['/data/evil/absolute/secret', `/proc/1/root${folder}/secret`, `/data/../../..${folder}/secret`]) {
    const { exit, err } = await shadow(`cp blog:${path} ${local('stolen')}`)
    assert.equal(exit, 3, `${path}: ${err}`)
  }
  await shadow(`cp ${local('one')} blog:/data/evil/absolute/planted`)
  const { err } = await good(`cp blog:/data/evil ${local('copied')}`)
  assert.match(err, /1 absolute links or special files are not as they were/)
  assert.equal(await readlink(local('copied/absolute')), folder.slice(1))
  assert.ok(!(await readdir(folder)).includes('planted'))
})

test('a copy keeps the app awake as long as it runs, and why names it', async () => {
  // Awake, it would be replaced by the new release while files are copied.
  await here.admin.call('sleepApp', { params: { app: 'blog' } })
  await here.admin.call('updateApp', { params: { app: 'blog' }, body: { sleep: { idleAfter: '1s' } } })
  await here.ask('blog', '/files/large', { method: 'PUT', body: Buffer.alloc(24_000_000, 'x') })
  const left = new AbortController()
  const { body } = await here.admin.raw('readFiles', {
    params: { app: 'blog' },
    query: { path: '/data/large' },
    signal: left.signal,
  })
  await here.pass(5_000)
  const view = await here.instance('blog')
  assert.deepEqual([view.phase, view.holds.map(({ what }) => what)], ['awake', ['shadow cp reads /data/large']])
  body.on('error', () => undefined)
  left.abort()
  await here.until('blog', ({ holds }) => holds.length === 0)
})

test('what is not there, or no folder, is told', async () => {
  for (const [line, exit, said] of [
    [`cp blog:/data/missing ${local('x')}`, 3, /there is no \/data\/missing in the container of blog/],
    [`cp ${local('missing')} blog:/data`, 3, /there is no .*missing here/],
    [`cp ${local('one')} blog:/missing/one`, 3, /there is no folder \/missing/],
    [`cp ${local('site')} blog:/data/one`, 2, /is no folder/],
    [`cp blog:/data/one ${local('missing/one')}`, 3, /there is no folder/],
    [`cp ${local('one')} ${local('two')}`, 2, /must be in an app/],
    [`cp blog: ${local('x')}`, 2, /has no name/],
    [`cp blgo:/data/one ${local('x')}`, 3, /blog/],
  ] as const) {
    const done = await shadow(line)
    assert.equal(done.exit, exit, `${line}: ${done.err}`)
    assert.match(done.err, said)
  }
})
