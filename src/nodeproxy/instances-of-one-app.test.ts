import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { App } from '../model/app.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { nodeName, volumeId } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest, anApp, aTask } from '../testing/fake-app.ts'
import { FakeLeases } from '../testing/fake-leases.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { settled } from '../testing/instance-environment.ts'
import { Instances } from './instances.ts'
import { Queue } from './queue.ts'

const stays = { signal: new AbortController().signal }
const stateless = anApp(aTask({ volume: undefined }))
const stateful = anApp()
const plain = instanceId(stateless.name)
const second = instanceId(stateless.name, 'b')

let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes
let known: App[]
let journal: string[]
let instances: Instances

function someInstances(): Instances {
  const bounds = { requests: 100, bytes: 1_000_000 }
  return new Instances({
    parts: {
      clock,
      runtime,
      volumes: volumes.drivers,
      leaseLostGraceMs: 5_000,
      filesystem: volumes,
      leases: new FakeLeases(),
      untilReady: async () => undefined,
      onStarted: () => undefined,
      onStep: () => undefined,
      node: nodeName('n1'),
      queue: new Queue({ perApp: bounds, perNode: bounds }),
      log: noLog,
      journal: (instance, line) => void journal.push(`${instance}: ${line}`),
      reopensWithinMs: 0,
      onRunEnded: () => undefined,
    },
    definitions: () => known,
    learnOf: async () => undefined,
    onAdopted: () => undefined,
  })
}

beforeEach(async () => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  volumes = new FakeVolumes()
  known = [stateless]
  journal = []
  instances = someInstances()
  await instances.reconcile()
})

const hold = async (id: InstanceId, app = stateless) => instances.hold(id, app, aHoldRequest(), stays)
const running = () => runtime.running().map(({ instance }) => instance)
const phases = () => Object.fromEntries(instances.all.map(({ id, phase }) => [id, phase]))

test('each has its own container, hold, idle clock and log', async () => {
  const first = await hold(plain)
  const other = await hold(second)
  assert.notEqual(first.run, other.run)
  assert.deepEqual(running().toSorted(), ['blog', 'blog.b'])
  first[Symbol.dispose]()
  await clock.advance(300_000)
  assert.deepEqual([running(), phases()], [['blog.b'], { blog: 'asleep', 'blog.b': 'awake' }])
  assert.deepEqual(
    journal.filter(line => line.endsWith('asleep: idle')),
    ['blog: asleep: idle'],
  )
  other[Symbol.dispose]()
  await clock.advance(300_000)
  assert.deepEqual([running(), phases()], [[], { blog: 'asleep', 'blog.b': 'asleep' }])
  assert.equal(journal.at(-1), 'blog.b: asleep: idle')
})

test('a view names the instance and its app', async () => {
  using _held = await hold(second)
  const { app, instance, phase } = instances.get(second)!.view()
  assert.deepEqual([app, instance, phase], ['blog', 'blog.b', 'awake'])
})

test('the death of one leaves the other as it is', async () => {
  using _first = await hold(plain)
  using _other = await hold(second)
  const container = runtime.running().find(({ instance }) => instance === second)
  runtime.end(container!, { exitCode: 3, outOfMemory: false })
  await clock.advance(0)
  assert.deepEqual([running(), phases()], [['blog'], { blog: 'awake', 'blog.b': 'crashed' }])
})

test('a newer definition reaches all of them', async () => {
  for (const id of [plain, second]) (await hold(id))[Symbol.dispose]()
  const newer = anApp(aTask({ volume: undefined, revision: 2 }))
  for (const instance of instances.ofApp(newer.name)) instance.define(newer.task)
  await settled() // each instance has checked that the definition can run, and has stopped
  for (const id of [plain, second]) (await hold(id, newer))[Symbol.dispose]()
  assert.deepEqual(
    runtime.running().map(({ revision }) => revision),
    [2, 2],
  )
})

test('one of several has no right to the volume of its app: an error says so, and the volume stays with the plain one', async () => {
  known = [stateful]
  using _held = await hold(plain, stateful)
  await assert.rejects(hold(second, stateful), error => {
    assert.ok(isFailure(error, 'volume-in-use'))
    assert.equal(error.message, 'blog.b has no right to the volume blog: it belongs to the plain instance of blog')
    return true
  })
  assert.equal(instances.get(second), undefined)
  assert.deepEqual([running(), volumes.mountedNow.size], [['blog'], 1])
})

test('one of several whose app has been given a volume wakes no more, and leaves the volume alone', async () => {
  ;(await hold(second))[Symbol.dispose]()
  await instances.get(second)!.sleep('asked')
  const given = anApp(aTask({ revision: 2 }))
  known = [given]
  using _held = await hold(plain, given)
  await assert.rejects(hold(second, given), error => isFailure(error, 'volume-in-use'))
  await instances.get(second)!.sleep('asked')
  await clock.advance(30_000) // until after the next inventory
  assert.deepEqual([running(), [...volumes.mountedNow]], [['blog'], [volumeId('blog')]])
  assert.deepEqual(volumes.wrongs, [])
})

test('a restarted node takes over what runs of each, and undoes the rest', async () => {
  const third = instanceId(stateless.name, 'c')
  for (const id of [plain, second, third]) (await hold(id))[Symbol.dispose]()
  const stopped = runtime.running().find(({ instance }) => instance === third)
  await instances.close({ sleep: false })
  runtime.end(stopped!, { exitCode: 0, outOfMemory: false })
  const made = runtime.count('create')
  instances = someInstances()
  await instances.reconcile()
  assert.deepEqual(phases(), { blog: 'awake', 'blog.b': 'awake', 'blog.c': 'asleep' })
  assert.equal(runtime.containers.size, 2)
  for (const id of [plain, second]) assert.equal((await hold(id)).waited, undefined)
  assert.equal(runtime.count('create'), made)
})

test('a container of an instance that this node does not know is removed, beside one of the same app that serves', async () => {
  using _held = await hold(plain)
  const stray = await runtime.create(second, stateless.task, undefined, stays.signal)
  await runtime.start(stray, stays.signal)
  await clock.advance(30_000)
  assert.deepEqual(running(), ['blog'])
})

test('after a restart one of several is stopped where its app has a volume now', async () => {
  ;(await hold(second))[Symbol.dispose]()
  await instances.close({ sleep: false })
  known = [stateful]
  instances = someInstances()
  await instances.reconcile()
  assert.deepEqual([runtime.containers.size, volumes.wrongs], [0, []])
})

test('one of several is forgotten alone, an app with all that it has', async () => {
  for (const id of [plain, second]) (await hold(id))[Symbol.dispose]()
  const ended: InstanceId[] = []
  await instances.forgetOne(second, async () => void ended.push(second))
  assert.deepEqual([running(), phases(), ended], [['blog'], { blog: 'awake' }, ['blog.b']])
  ;(await hold(second))[Symbol.dispose]()
  await instances.forget(stateless.name, async id => void ended.push(id))
  assert.deepEqual([running(), phases()], [[], {}])
  assert.deepEqual(ended.toSorted(), ['blog', 'blog.b', 'blog.b'])
})

test('where one of an app cannot be stopped, that one alone is kept, and the next try forgets the app', async () => {
  for (const id of [plain, second]) (await hold(id))[Symbol.dispose]()
  const stop = runtime.stop.bind(runtime)
  runtime.stop = async (container, graceMs) => {
    if (container.instance === second) throw new Error('Docker says no')
    await stop(container, graceMs)
  }
  await assert.rejects(instances.forget(stateless.name), error => isFailure(error, 'app-stuck'))
  assert.deepEqual(phases(), { 'blog.b': 'stuck' })
  runtime.stop = stop
  await instances.forget(stateless.name)
  assert.deepEqual([phases(), runtime.containers.size], [{}, 0])
})
