import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Register } from '../../src/api/schemas.ts'
import { Shadow } from '../tools/shadow.ts'

const run = promisify(execFile)

/** A database of words on port 5432, which speaks no HTTP. */
const WORDS: Partial<Register> = {
  command: ['node', '/srv/words.mjs'],
  port: 5_432,
  volume: { size: '16MiB' },
  sleep: { idleAfter: '10s' },
  domains: [],
}
const USES: Partial<Register> = { uses: ['blog-db'] }
/**
 * What an app gets for a name that it does not know. The name server of the machine may know that there is no such name, fail, or never
 * answer. A name that the app does know is in its /etc/hosts: then the connection is made or refused at once.
 */
const NAME_UNKNOWN = /^(ENOTFOUND|EAI_AGAIN|ETIMEDOUT)$/

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

/** What the app gets from the database: by the name, or the address, of a host. */
const ask = async (app: string, line: string, host = 'blog-db'): Promise<string> =>
  (await shadow.ask(app, `/tcp?host=${host}&port=5432&line=${encodeURIComponent(line)}`)).text.trim()
const phases = async (...apps: string[]) => Promise.all(apps.map(async app => (await shadow.instance(app)).phase))
const update = (app: string, body: Record<string, unknown>) => shadow.admin.call('updateApp', { params: { app }, body })

describe('an app that uses a database:', () => {
  beforeAll(async () => {
    await shadow.register('blog-db', WORDS)
    await shadow.register('blog', USES)
    await shadow.register('other', { sleep: { idleAfter: '10s' } })
  })

  test('a write in each of three cycles of sleep and wake is there in the end', async () => {
    for (const word of ['one', 'two', 'three']) {
      assert.deepEqual(await phases('blog', 'blog-db'), ['asleep', 'asleep'])
      assert.equal(await ask('blog', `add ${word}`), 'added')
      assert.deepEqual(await phases('blog', 'blog-db'), ['awake', 'awake'])
      await shadow.sleep('blog')
      await shadow.pass(15_000)
      await shadow.until('blog-db', 'asleep')
    }
    assert.equal(await ask('blog', 'all'), 'one two three')
  })

  test('the database was ready before the app was started, and the wake says how long that took', async () => {
    const [db, blog] = [await shadow.instance('blog-db'), await shadow.instance('blog')]
    assert.ok((blog.lastWake?.steps.companions ?? 0) >= (db.lastWake?.steps.ready ?? Number.POSITIVE_INFINITY))
    assert.ok(Date.parse(db.since) < Date.parse(blog.since))
    assert.equal(db.wokenBy, 'blog')
  })

  test('the database stays awake while the app is, whatever its own idle time; it says for whom, and is not put to sleep', async () => {
    const talk = await shadow.webSocket('blog', '/room')
    await shadow.pass(60_000)
    assert.deepEqual(await phases('blog', 'blog-db'), ['awake', 'awake'])
    const { holds } = await shadow.instance('blog-db')
    assert.deepEqual(
      holds.map(({ kind, what }) => [kind, what]),
      [['companion', 'blog']],
    )
    assert.deepEqual((await shadow.instance('blog')).companions, [{ app: 'blog-db', isHeld: true }])
    await assert.rejects(shadow.sleep('blog-db'), { code: 'companion-in-use', message: /^blog uses blog-db/ })
    talk.close()
  })

  test('no other app reaches it, neither by its name nor by its address; and it reaches no app', async () => {
    const [db, blog] = [await shadow.instance('blog-db'), await shadow.instance('blog')]
    const addressOf = (address = ''): string => address.split(':')[0] ?? ''
    assert.match(await ask('other', 'all'), NAME_UNKNOWN)
    assert.equal(await ask('other', 'all', addressOf(db.container?.address)), 'ECONNREFUSED')
    assert.equal(await ask('blog', 'all', addressOf(db.container?.address)), 'one two three')
    const script = `require('net').connect(8000, '${addressOf(blog.container?.address)}').on('connect', () => { console.log('there'); process.exit() }).on('error', e => console.log(e.code))`
    const [id = ''] = await shadow.containers('blog-db')
    assert.equal((await run('docker', ['exec', id, 'node', '-e', script])).stdout.trim(), 'ECONNREFUSED')
  })

  test('a newer release of the database takes its place while the app goes on, and is found by the same name', async () => {
    const before = (await shadow.instance('blog-db')).container?.address
    const boot = (await shadow.ask('blog')).json.boot
    const { task } = await update('blog-db', { env: { NEW: '1' } })
    const { container } = await shadow.until(
      'blog-db',
      ({ phase, revision, holds }) => phase === 'awake' && revision === task.revision && holds.length > 0,
    )
    assert.notEqual(container?.address, before)
    assert.equal(await ask('blog', 'all'), 'one two three')
    assert.deepEqual((await shadow.ask('blog')).json.boot, boot)
  })

  test('a database that dies is woken again while the app is awake', async () => {
    const [id = ''] = await shadow.containers('blog-db')
    await shadow.ask('blog')
    await run('docker', ['kill', id])
    await shadow.until(
      'blog-db',
      ({ phase, container, holds }) => phase === 'awake' && container?.id !== id && holds.length > 0,
    )
    assert.equal(await ask('blog', 'all'), 'one two three')
  })

  test('a restart of Shadow with both awake goes on as it was', async () => {
    await shadow.ask('blog')
    const containers = [await shadow.containers('blog'), await shadow.containers('blog-db')]
    await shadow.stop()
    await shadow.startAgain()
    await shadow.until('blog-db', ({ holds }) => holds.some(({ kind }) => kind === 'companion'))
    assert.deepEqual([await shadow.containers('blog'), await shadow.containers('blog-db')], containers)
    assert.equal(await ask('blog', 'all'), 'one two three')
    assert.equal(
      await ask('other', 'all', (await shadow.instance('blog-db')).container?.address.split(':')[0]),
      'ECONNREFUSED',
    )
  })

  test('it cannot be removed; once it is detached, the app finds it no more, and it sleeps', async () => {
    const params = { app: 'blog-db' }
    await assert.rejects(shadow.admin.call('removeApp', { params }), { code: 'companion-in-use' })
    assert.equal((await shadow.ask('blog')).status, 200)
    const { task } = await update('blog', { uses: [] })
    await shadow.until('blog', ({ revision, phase }) => revision === task.revision && phase === 'awake')
    assert.match(await ask('blog', 'all'), NAME_UNKNOWN)
    await shadow.until('blog-db', ({ holds }) => holds.length === 0)
    await shadow.pass(15_000)
    await shadow.until('blog-db', 'asleep')
    await shadow.admin.call('removeApp', { params, query: { withVolume: 'true' } })
  })
})

test('an app whose database cannot be woken says so, counts no crash of its own, and wakes once the database can', async () => {
  await shadow.register('broken', { ...WORDS, command: ['node', '/srv/no-such-file.mjs'] })
  await shadow.register('shop', { uses: ['broken'] })
  const { status, json } = await shadow.ask('shop')
  assert.deepEqual([status, json['code']], [503, 'companion-not-ready'])
  const { failures, problem } = await shadow.until('shop', 'asleep')
  assert.equal(failures, 0)
  assert.match(problem?.detail ?? '', /^shop uses broken, which is not awake: /)
  await update('broken', { command: WORDS.command })
  assert.equal((await shadow.ask('shop')).status, 200)
})

test('companions of companions wake first, in order; at the end of Shadow each one sleeps after those that use it', async () => {
  await using own = await Shadow.start()
  const asleep: string[] = []
  await own.register('deep', WORDS)
  await own.register('middle', { ...WORDS, uses: ['deep'] })
  await own.register('side', WORDS)
  await own.register('top', { uses: ['side', 'middle'] })
  const { status, text } = await own.ask('top')
  assert.equal(status, 200, text)
  const since = await Promise.all(['side', 'deep', 'middle', 'top'].map(async app => (await own.instance(app)).since))
  assert.deepEqual(since, since.toSorted())
  own.onStep = (instance, step, when) => {
    if (step === 'stop' && when === 'after') asleep.push(instance)
  }
  await own.up.stop({ sleep: true })
  assert.deepEqual([asleep[0], asleep.at(-1)], ['top', 'deep'])
  assert.deepEqual(asleep.toSorted(), ['deep', 'middle', 'side', 'top'])
})
