import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { masterAccess, readMembership } from '../../src/api/membership.ts'
import { Fleet } from '../tools/fleet/fleet.ts'
import { installed } from '../tools/installed.ts'
import { journalLines, runsIn } from '../tools/journal.ts'
import { isCode, register, until } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const LEASE_MS = 12_000
const NODES = ['a', 'b', 'c']
const POOL = { volume: { size: '32MiB', driver: 'pool' } } as const
const JOURNAL = { ...POOL, env: { JOURNAL: '1' }, sleep: { idleAfter: 'never' } } as const

let built: Awaited<ReturnType<typeof installed>>
let fleet: Fleet

beforeAll(async () => {
  built = await installed()
  const nodeSettings = { SHADOW_POOL_LEASE: `${LEASE_MS}ms` }
  fleet = await Fleet.start({
    shadow: built.shadow,
    nodes: NODES,
    fronts: ['x', 'y'],
    masters: ['m', 'n'],
    nodeSettings,
  })
})
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]()
  await built?.[Symbol.asyncDispose]()
})

const letterOf = ({ headers }: Answer): string => fleet.letterOf(headers['x-shadow-node'])
const write = async (app: string, text: string): Promise<string> => {
  const answer = await fleet.at('x').ask(app, '/files/note', { method: 'PUT', body: text })
  assert.equal(answer.status, 200, answer.text)
  return letterOf(answer)
}

/** Repeats the request until the app answers. Every earlier answer must say what happened, and when to try again. */
const answered = (front: string, app: string, path = '/'): Promise<Answer> =>
  until(async () => {
    const answer = await fleet.at(front).ask(app, path)
    if (answer.status === 200) return answer
    assert.match(String(answer.headers['x-shadow-error']), /^(node-unreachable|no-node|volume-in-use)$/, answer.text)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    return undefined
  })

/** The nodes on which containers of the app run, once for each container. */
const runningOn = async (app: string): Promise<string[]> =>
  (await Promise.all(NODES.map(async node => (await fleet.running(node, app)).map(() => node)))).flat()
const stateOf = async (node: string) =>
  (await fleet.admin().call('listNodes', {})).items.find(({ name }) => name === fleet.nameOf(node))?.state
const healthy = (node: string) => until(async () => (await stateOf(node)) === 'healthy' || undefined)

test('an app that is registered through one master is served by both fronts at the same instant, from one container', async () => {
  await register(fleet.admin('m'), 'blog', POOL)
  const answers = await Promise.all(['x', 'y', 'x', 'y'].map(front => fleet.at(front).ask('blog')))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  )
  assert.equal(new Set(answers.map(({ json }) => json.boot.id)).size, 1)
  assert.deepEqual(await runningOn('blog'), [letterOf(answers[0] as Answer)])
  assert.equal((await fleet.admin('n').call('getInstance', { params: { app: 'blog' } })).phase, 'awake')
})

test('a pool volume is on another node with all data after the machine that held it has lost its power', async () => {
  const home = await write('blog', 'written before')
  await fleet.powerOff(home)
  const answer = await answered('y', 'blog', '/files/note')
  assert.equal(answer.text, 'written before')
  assert.notEqual(letterOf(answer), home)
  await fleet.powerOn(home)
  await healthy(home)
  assert.deepEqual(await runningOn('blog'), [letterOf(await answered('x', 'blog'))])
})

test('a node that is cut off stops its app before its lease ends, and another node goes on with all it wrote', async () => {
  await register(fleet.admin(), 'diary', JOURNAL)
  const home = await write('diary', 'kept')
  const from = performance.now()
  await fleet.machine(home).cut()
  const underWay = fleet.at('x').ask('diary')
  await until(async () => (await fleet.running(home, 'diary')).length === 0 || undefined)
  assert.ok(performance.now() - from < LEASE_MS, 'the lease had ended before the app')
  const given = await underWay
  assert.deepEqual([given.status, given.headers['x-shadow-error']], [502, 'node-unreachable'])
  const answer = await answered('x', 'diary', '/files/journal')
  assert.notEqual(letterOf(answer), home)
  assert.equal(runsIn(journalLines(answer.text)).length, 2)
  await fleet.machine(home).mend()
  await healthy(home)
  assert.deepEqual(await runningOn('diary'), [letterOf(await answered('y', 'diary'))])
})

test('while a master is away the other one takes changes, and asleep apps wake', async () => {
  await fleet.powerOff('m')
  await fleet.admin('n').call('sleepApp', { params: { app: 'blog' } })
  assert.equal((await fleet.at('x').ask('blog', '/files/note')).text, 'written before')
  await register(fleet.admin('n'), 'newer')
  for (const front of ['x', 'y']) assert.equal((await answered(front, 'newer')).status, 200)
  await fleet.powerOn('m')
  assert.equal((await fleet.admin('m').call('getApp', { params: { app: 'newer' } })).name, 'newer')
})

test('while the store is away awake apps go on serving, and changes are taken once it is back', async () => {
  await fleet.machine('s').cut()
  for (const front of ['x', 'y']) assert.equal((await fleet.at(front).ask('newer')).status, 200)
  await fleet.machine('s').mend()
  await until(() =>
    register(fleet.admin(), 'newest').then(
      () => true,
      () => undefined,
    ),
  )
  assert.equal((await answered('x', 'newest')).status, 200)
})

test('while a front is away the other one serves, and the front has its routes when it is back', async () => {
  await fleet.powerOff('x')
  assert.equal((await fleet.at('y').ask('blog', '/files/note')).text, 'written before')
  await fleet.powerOn('x')
  assert.equal((await fleet.at('x').ask('blog', '/files/note')).text, 'written before')
})

test('a drain moves an app with its volume, and no request is lost meanwhile', async () => {
  const home = letterOf(await answered('x', 'blog'))
  await fleet.admin('n').call('drainNode', { params: { node: fleet.nameOf(home) }, body: {} })
  await until(async () => {
    const answers = await Promise.all(['x', 'y'].map(front => fleet.at(front).ask('blog', '/files/note')))
    for (const { status, text } of answers) assert.deepEqual([status, text], [200, 'written before'])
    return answers.every(answer => letterOf(answer) !== home) || undefined
  })
  assert.ok(!(await runningOn('blog')).includes(home))
  await fleet.admin('m').call('uncordonNode', { params: { node: fleet.nameOf(home) } })
  await healthy(home)
})

test('a node that was removed gets no request, and its credential opens nothing', async () => {
  const membership = await readMembership(`${fleet.data('c')}/node`, 'node')
  assert.ok(membership)
  await fleet.admin('m').call('removeMember', { params: { role: 'node', name: fleet.nameOf('c') } })
  const access = masterAccess('node', { master: undefined, token: undefined }, membership)
  for (const master of ['m', 'n']) {
    const url = `https://${fleet.machine(master).address}:8080`
    const thief = masterClient({ ...access, url, withinMs: 5_000 })
    const isRefused = () => thief.call('getApp', { params: { app: 'blog' } }).then(() => false, isCode('unauthorised'))
    // The other master hears of the removal within seconds.
    await until(async () => (await isRefused()) || undefined)
    await assert.rejects(
      thief.call('leaseVolume', { params: { volume: 'blog' }, body: { node: fleet.nameOf('c') } }),
      isCode('unauthorised'),
    )
  }
  await until(async () => (await stateOf('c')) === undefined || undefined)
  for (const front of ['x', 'y']) await until(async () => letterOf(await answered(front, 'newer')) !== 'c' || undefined)
  assert.ok((await readFile(fleet.log('c'), 'utf8')).length > 0)
})
