import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { isFailure } from '../../src/lib/errors.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { Shadow } from '../tools/shadow.ts'

let here: Shadow
beforeAll(async () => {
  here = await Shadow.start()
})
afterAll(() => here?.[Symbol.asyncDispose]())

async function shadow(line: string): Promise<{ out: string; err: string }> {
  const env = { SHADOW_URL: here.up.masterUrl, SHADOW_TOKEN: here.up.adminToken }
  const terminal = new FakeTerminal({ env, now: Date.now() })
  const exit = await run(line.split(' '), terminal)
  assert.equal(exit, 0, terminal.stderr)
  return { out: terminal.stdout, err: terminal.stderr }
}
const put = (name: string, body: string) => here.ask('blog', `/files/${name}`, { method: 'PUT', body })
const read = async (name: string) => (await here.ask('blog', `/files/${name}`)).text

test('a volume goes back to its snapshots and forth again, its app serves while they are taken, and no request is lost', async () => {
  await here.register('blog', { volume: { size: '64MiB' } })
  assert.equal((await put('page', 'first')).status, 200)
  const run1 = (await here.instance('blog')).container?.id

  const stopped = new AbortController()
  const answers = new Set<string>()
  let acknowledged = -1
  const asking = (async () => {
    for (let n = 0; !stopped.signal.aborted; n++) {
      const { status, text } = await put('counter', String(n))
      answers.add(status === 200 ? '200' : `${status} ${text}`)
      if (status === 200) acknowledged = n
      await wait(5)
    }
  })()
  const taken = await shadow('volume snapshot blog --name monday --note first')
  assert.match(taken.err, /snapshot monday of blog is taken: its writes waited for \d+ms/)
  assert.equal((await here.instance('blog')).container?.id, run1, 'it is the same run')
  const afterSnapshot = acknowledged

  assert.equal((await put('page', 'second')).status, 200)
  const restored = await shadow('volume restore blog monday')
  assert.match(restored.err, /it was held for/)
  assert.equal(await read('page'), 'first')
  stopped.abort()
  await asking
  assert.deepEqual([...answers], ['200'], 'requests of the time of the restore waited')
  assert.ok(afterSnapshot >= 0)

  const undo = /shadow volume restore blog (\S+)/.exec(restored.err)?.[1]
  await shadow(`volume restore blog ${undo}`)
  assert.equal(await read('page'), 'second')
  const lines = (await here.logs('blog')).map(({ line }) => line).join('\n')
  assert.match(lines, /snapshot monday of the volume: writes waited for/)
  assert.match(lines, /volume restored from the snapshot monday, for which the app slept/)
})

test('an app that is asleep stays asleep for its snapshot, and each write of before is in it', async () => {
  await put('page', 'third')
  await here.sleep('blog')
  await shadow('volume snapshot blog --name asleep')
  assert.equal((await here.instance('blog')).phase, 'asleep')
  await put('page', 'fourth')
  await shadow('volume restore blog asleep --dry-run')
  assert.equal(await read('page'), 'fourth')
  await shadow('volume restore blog asleep')
  assert.equal(await read('page'), 'third')
})

test('a fork has the definition and the data of its app, and each goes its own way', async () => {
  await put('page', 'shared')
  const before = await here.admin.call('updateApp', {
    params: { app: 'blog' },
    body: { env: { SECRET: 'kept' } },
  })
  const forked = await shadow('fork blog blog-test')
  assert.match(forked.err, /blog-test is a fork of blog, with the data of now; its first request wakes it/)
  const made = await here.admin.call('getApp', { params: { app: 'blog-test' } })
  assert.deepEqual([made.task.env['SECRET'], made.task.image], ['kept', before.task.image])
  assert.deepEqual(made.domains, ['blog-test.localhost'])
  const there = (name: string, body?: string) =>
    here.ask('blog-test', `/files/${name}`, body === undefined ? {} : { method: 'PUT', body })
  assert.equal((await there('page')).text, 'shared')
  await there('page', 'of the fork')
  assert.equal(await read('page'), 'shared')
  await shadow('fork blog blog-old --snapshot monday')
  assert.equal((await here.ask('blog-old', '/files/page')).text, 'first')
  assert.doesNotMatch((await shadow('volume snapshots blog')).out, /for the fork/, 'its snapshot is gone')
  await shadow('volume fork blog blog-data')
  assert.equal((await here.admin.call('getVolume', { params: { volume: 'blog-data' } })).app, null)
  for (const app of ['blog-test', 'blog-old'])
    await here.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
  await here.admin.call('removeVolume', { params: { volume: 'blog-data' } })
})

test('a volume is made larger, and its data stays', async () => {
  await put('page', 'before')
  assert.match((await shadow('volume grow blog 96MiB')).err, /the volume of blog is 96MiB/)
  assert.equal(await read('page'), 'before')
  await here.until('blog', ({ phase, volume }) => phase === 'awake' && (volume?.sizeBytes ?? 0) > 80 * 2 ** 20)
  assert.match((await shadow('volume grow blog 96MiB')).err, /is 96MiB and has/)
})

test('ls tells of the snapshots, rm-snapshot deletes one, and the rest go with the volume', async () => {
  assert.match((await shadow('volume ls')).out, /blog .* 5 \(\S+\)\s+\S+ ago/)
  assert.match((await shadow('volume snapshots blog')).out, /monday\s.*first/)
  await assert.rejects(here.admin.call('listSnapshots', { params: { volume: 'blgo' } }), error =>
    isFailure(error, 'not-found'),
  )
  await shadow('volume rm-snapshot blog monday --yes')
  assert.doesNotMatch((await shadow('volume snapshots blog')).out, /^monday/m)
  await here.admin.call('removeApp', { params: { app: 'blog' }, query: { withVolume: 'true' } })
  assert.deepEqual(await readdir(`${here.data}/volumes/.snapshots/blog`), [])
})
