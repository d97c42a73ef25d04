import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { readEvents } from '../../src/lib/http/api/events.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
  const template = { visitors: 'all' } as const
  await shadow.register('editor', { template })
  await shadow.register('notes', { template, volume: { size: '16MiB' } })
  // It opens its port once a file is there that nobody writes.
  await shadow.register('slow', { template, env: { LISTEN_WHEN: '/data/go' }, startWithin: '10m' })
  await shadow.register('stubborn', { template, env: { IGNORE_SIGTERM: '1' }, sleep: { grace: '10m' } })
})
afterAll(() => shadow[Symbol.asyncDispose]())

type Spawn = {
  env?: Record<string, string>
  lifetime?: `${number}${'s' | 'm' | 'h'}`
  idle?: `${number}${'s' | 'm' | 'h'}`
}
const connect = (template: string, key?: string | object, spawn: Spawn = {}) =>
  shadow.admin.call('connectSession', {
    body: {
      template,
      spawn,
      ...(key !== undefined && { key: typeof key === 'string' ? { name: key } : (key as never) }),
    },
  })
const get = (session: string) => shadow.admin.call('getSession', { params: { session } })
const end = (session: string, kind: 'soft' | 'hard' = 'soft') =>
  shadow.admin.call('endSession', { params: { session }, query: { kind } })
const volumes = async () => (await shadow.admin.call('listVolumes', {})).items.map(({ id }) => id as string)
/** The host by which visitors come to it. */
const hostOf = (session: string): string => `${session.split('--').reverse().join('.')}.localhost`

async function untilEnded(session: string) {
  await shadow.eventually(async () => (await get(session)).state === 'ended')
  assert.deepEqual(await shadow.containers(session), [])
  return (await get(session)).end
}

describe('a key', () => {
  test('has one session and one container, however many connect at once; another tag is a conflict', async () => {
    const key = { name: 'doc', tag: 'v1' }
    const all = await Promise.all(Array.from({ length: 50 }, () => connect('editor', key)))
    const { session } = all[0]!
    assert.deepEqual(new Set(all.map(one => one.session)), new Set([session]))
    assert.equal(all.filter(({ spawned }) => spawned).length, 1)
    // A slow machine has not started it yet.
    assert.equal((await shadow.ask(hostOf(session))).status, 200)
    assert.equal((await shadow.containers(session)).length, 1)
    await assert.rejects(connect('editor', { name: 'doc', tag: 'v2' }), isCode('tag-conflict'))
    await end(session)
  })

  test('whose session is ending waits for that, and gets a new one', async () => {
    const { session } = await connect('stubborn', 'doc')
    const boot = async () => (await shadow.ask(hostOf(session))).json.boot.id
    const first = await boot()
    const ending = end(session)
    await shadow.eventually(async () => (await get(session)).state === 'ending')
    const next = connect('stubborn', 'doc')
    await end(session, 'hard')
    assert.equal((await ending).end?.reason, 'asked')
    const { spawned, session: same } = await next
    assert.deepEqual([spawned, same], [true, session])
    assert.notEqual(await boot(), first)
    assert.equal((await shadow.containers(session)).length, 1)
    await end(session, 'hard')
  })
})

describe('a session that nobody uses', () => {
  test('ends after its idle time; with a key its data is there again, without one it is gone', async () => {
    const { session } = await connect('notes', 'mine', { idle: '3s' })
    await shadow.ask(hostOf(session), '/files/kept', { method: 'PUT', body: 'as it was' })
    const other = await connect('notes', undefined, { idle: '3s' })
    await shadow.ask(hostOf(other.session), '/files/kept', { method: 'PUT', body: 'gone' })
    shadow.clock.leap(3_000)
    assert.deepEqual(
      [(await untilEnded(session))?.reason, (await untilEnded(other.session))?.reason],
      ['swept', 'swept'],
    )
    await shadow.eventually(async () => !(await volumes()).includes(other.session))
    assert.ok((await volumes()).includes(session))
    const again = await connect('notes', 'mine')
    assert.deepEqual([again.session, again.spawned], [session, true])
    assert.equal((await shadow.ask(hostOf(session), '/files/kept')).text, 'as it was')
    await end(session)
  })

  test('lives while somebody uses it, and as long as the longest idle time that was asked for', async () => {
    const { session } = await connect('editor', 'long', { idle: '3s' })
    const download = await shadow.begin(hostOf(session), '/download').response
    await shadow.pass(9_000)
    assert.equal((await get(session)).state, 'ready')
    assert.equal((await connect('editor', 'long', { idle: '10m' })).spawned, false)
    await shadow.ask(hostOf(session), '/download/end')
    for await (const _ of download) {
      // to its end
    }
    await shadow.pass(60_000)
    assert.equal((await get(session)).state, 'ready')
    assert.equal((await connect('editor', 'long')).spawned, false) // which is a use
    await shadow.pass(590_000)
    assert.equal((await get(session)).state, 'ready')
    await shadow.pass(15_000)
    assert.equal((await untilEnded(session))?.reason, 'swept')
  })
})

describe('the lifetime of a session', () => {
  test('ends it in time and not before, whoever uses it, and also while it starts', async () => {
    const used = await connect('editor', 'short', { lifetime: '1m' })
    const starting = await connect('slow', 'short', { lifetime: '1m' })
    assert.notEqual(starting.state, 'ready')
    const until = Date.parse(used.until ?? '')
    await shadow.pass(until - shadow.clock.wall() - 5_000)
    shadow.clock.leap(until - shadow.clock.wall() - 100)
    const ends = [await untilEnded(used.session), await untilEnded(starting.session)]
    assert.deepEqual(
      ends.map(one => [one?.reason, one?.kind]),
      [
        ['lifetime', 'soft'],
        ['lifetime', 'soft'],
      ],
    )
    // How exactly is a matter of the clock alone: a test of the masters has it.
    for (const one of ends) assert.ok(Date.parse(one?.at ?? '') >= until, `it ended before ${used.until}`)
  })
})

test('a crash is told with its exit code, and the key is free again', async () => {
  const { session } = await connect('editor', 'crashes')
  await shadow.ask(hostOf(session), '/exit?code=3')
  const how = await untilEnded(session)
  assert.deepEqual([how?.reason, how?.exitCode], ['crashed', 3])
  const failed = await connect('editor', 'crashes', { env: { EXIT_AT_BOOT: '4' } }).then(
    () => undefined, // a slow machine had not started it yet
    error => error,
  )
  assert.ok(failed === undefined || isCode('app-crashed')(failed), failed)
  // Its connect is answered while its node removes its container.
  await shadow.eventually(async () => (await shadow.containers(session)).length === 0)
  assert.equal((await untilEnded(session))?.exitCode, 4)
  assert.equal((await connect('editor', 'crashes')).spawned, true)
  await end(session)
})

test('a hard end waits for nothing: neither for a download nor for an app that takes its time', async () => {
  const { session } = await connect('stubborn')
  const { response } = shadow.begin(hostOf(session), '/download')
  const download = await response
  download.on('error', () => undefined) // it is cut
  const { end: how } = await end(session, 'hard')
  assert.deepEqual([how?.reason, how?.kind, await shadow.containers(session)], ['asked', 'hard', []])
})

test('the states are told in their order, from the first on, and a reader goes on where it was', async () => {
  const { session, statusUrl } = await connect('editor', 'watched')
  const url = `${shadow.up.masterUrl}${statusUrl}`
  const headers = { authorization: `Bearer ${shadow.up.adminToken}` }
  const read = async (more: Record<string, string> = {}) => {
    const response = await fetch(url, { headers: { ...headers, ...more } })
    const text = await response.text() // until it has ended
    return text.split('\n').flatMap(line => (line.startsWith('id: ') ? line.slice(4) : []))
  }
  const whole = read()
  const resumed = read({ 'last-event-id': '3-starting' })
  const { body } = await shadow.admin.raw('followSession', { params: { session } })
  for await (const event of readEvents(body)) if ((event as { state: string }).state === 'ready') break
  await end(session)
  const ids = ['1-scheduled', '2-loading', '3-starting', '4-waiting', '5-ready', '6-ending', '7-ended']
  assert.deepEqual([await whole, await resumed], [ids, ids.slice(3)])
  assert.deepEqual(await read(), ['1-ended'])
})

test('sessions go on over a restart of master and node, unless their containers have ended meanwhile', async () => {
  const goesOn = await connect('editor', 'goes-on', { lifetime: '1h' })
  const dies = await connect('editor', 'dies')
  const { id } = (await shadow.ask(hostOf(goesOn.session))).json.boot
  const [container = ''] = await shadow.containers(dies.session)
  await shadow.stop()
  await promisify(execFile)('docker', ['kill', container])
  await shadow.startAgain()
  assert.equal((await untilEnded(dies.session))?.reason, 'lost')
  assert.equal((await connect('editor', 'goes-on')).spawned, false)
  assert.equal((await shadow.ask(hostOf(goesOn.session))).json.boot.id, id)
  const all = await shadow.admin.call('listSessions', { query: { template: 'editor' } })
  assert.deepEqual(
    all.items.map(({ session }) => session),
    [goesOn.session],
  )
  await end(goesOn.session)
})

test('nothing wakes a template', async () => {
  await assert.rejects(shadow.wake('editor'), isCode('is-template'))
  assert.deepEqual(await shadow.containers('editor'), [])
})
