import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import { appName, nodeName } from '../../model/names.ts'
import { countRequest, requestCounts } from '../../model/request-counts.ts'
import { HandClock } from '../../testing/clock.ts'
import { aTask } from '../../testing/fake-app.ts'
import { FakeRuntime } from '../../testing/fake-runtime.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import type { Container } from '../runtime/runtime.ts'
import { NodeHistory } from './history.ts'
import type { StoreThread } from './open.ts'
import type { HistoryMethods } from './protocol.ts'
import { HistoryStore } from './store.ts'

const BLOG = appName('blog')
const INSTANCE = instanceId(BLOG)
const never = new AbortController().signal

class World {
  readonly clock = new HandClock(Date.parse('2026-11-29T12:00:00Z'))
  readonly runtime = new FakeRuntime()
  readonly requests = requestCounts()
  readonly folder = temporaryFolder('node-history')
  /** How often the store was written to. */
  writes = 0
  isFull = false
  logged: string[] = []
  lines: string[] = []
  history = this.begin()

  /** Begins a process on what the one before has left. */
  begin(): NodeHistory {
    const log = {
      ...noLog,
      warn: (event: string) => void this.logged.push(event),
      info: (event: string) => void this.logged.push(event),
    }
    const { clock, runtime } = this
    const requestsOf = () => this.requests
    const lastLines = async () => this.lines
    return new NodeHistory({ store: this.#store(), runtime, requestsOf, lastLines, clock, log })
  }

  /** The store without its thread. */
  #store(): StoreThread {
    const store = new HistoryStore({ folder: this.folder, node: nodeName('n1') })
    const methods: HistoryMethods = {
      add: ({ events, samples }) => {
        this.writes++
        if (this.isFull) throw new Error('no space left')
        store.add(events, samples)
      },
      events: ({ app, ...query }) => store.events(app, query),
      series: ({ app, ...range }) => store.series(app, range),
      activity: ({ apps, from }) => apps.map(app => ({ app, hours: store.activity(app, from) })),
      forget: app => store.forget(app),
    }
    return {
      isThere: true,
      call: async (method, input) => methods[method](input as never) as never,
      [Symbol.asyncDispose]: async () => store[Symbol.dispose](),
    }
  }

  async wake(instance: InstanceId = INSTANCE): Promise<Container> {
    const container = await this.runtime.create(instance, aTask({ app: BLOG, volume: undefined }), undefined, never)
    await this.runtime.start(container, never)
    this.history.started(container)
    this.history.phase(instance, 'awake')
    return container
  }

  async sleep(instance: InstanceId = INSTANCE): Promise<void> {
    this.history.phase(instance, 'stopping')
    for (const container of this.runtime.running().filter(one => one.instance === instance)) {
      this.history.ended({ container: container.id })
      await this.runtime.stop(container, 0)
    }
    this.history.phase(instance, 'asleep')
  }

  /** The steps of 10 s of the last hour. */
  steps() {
    const now = Math.floor(this.clock.wall() / 10_000) * 10
    return this.history.series(BLOG, { from: now - 3_600, to: now + 10, stepSeconds: 10 })
  }
}

test('an awake app is sampled once in each step of 10 s, and one that sleeps is not', async () => {
  const world = new World()
  const { clock, runtime } = world
  await clock.advance(3_000)
  await world.wake()
  countRequest(world.requests)
  runtime.usedCpuMs = 700
  await clock.advance(7_500)
  runtime.usedCpuMs = 1_000
  countRequest(world.requests)
  countRequest(world.requests)
  await clock.advance(10_000)
  await world.sleep()
  await clock.advance(60_000)
  const { writes } = world
  assert.equal(clock.waiting, 0, 'no timer waits while all apps sleep')
  await clock.advance(600_000)
  assert.equal(world.writes, writes)
  const steps = await world.steps()
  assert.deepEqual(
    steps.map(({ awakeMs, requests, cpuMs, memoryBytes }) => [awakeMs, requests, cpuMs, memoryBytes > 0]),
    [
      [7_000, 1, 700, true],
      [10_000, 2, 300, true],
      [500, 0, 0, true],
    ],
  )
})

test('an app that sleeps again before it is sampled is read when it ends', async () => {
  const world = new World()
  await world.wake()
  world.runtime.usedCpuMs = 400
  await world.clock.advance(2_000)
  await world.sleep()
  await world.clock.advance(20_000)
  const [step, ...rest] = await world.steps()
  assert.deepEqual([step?.awakeMs, step?.cpuMs, step?.memoryBytes, rest], [2_000, 400, 1_048_576, []])
})

test('what is read of an awake app is of this moment', async () => {
  const world = new World()
  await world.wake()
  countRequest(world.requests)
  await world.clock.advance(2_000)
  const [step] = await world.steps()
  assert.deepEqual([step?.requests, step?.awakeMs], [1, 2_000])
  const from = world.clock.wall() / 1_000 - 167 * 3_600 - ((world.clock.wall() / 1_000) % 3_600)
  const [blog] = await world.history.activity([BLOG], from)
  assert.equal(blog?.hours.at(-1), 2_000)
})

test('several instances of an app count its time once, and their memory together', async () => {
  const world = new World()
  const second = instanceId(BLOG, '2')
  await world.wake()
  await world.wake(second)
  await world.clock.advance(10_000)
  const [step] = await world.steps()
  assert.deepEqual([step?.awakeMs, step?.memoryBytes], [10_000, 2 * 1_048_576])
})

test('a container that ran before this process adds only what it uses from now on', async () => {
  const world = new World()
  const container = await world.wake()
  world.runtime.usedCpuMs = 3_600_000
  await world.history[Symbol.asyncDispose]()
  world.history = world.begin()
  world.history.adopted(container)
  world.history.started(container)
  world.history.phase(INSTANCE, 'awake')
  await world.clock.advance(10_000)
  world.runtime.usedCpuMs = 3_600_100
  await world.clock.advance(10_000)
  const steps = await world.steps()
  assert.deepEqual(steps.at(-1)?.cpuMs, 100)
})

test('events are written together a little later, and none is lost by an orderly end', async () => {
  const world = new World()
  world.history.note(INSTANCE, { kind: 'wake', by: 'GET /', outcome: 'ok', ms: 12 })
  world.history.note(INSTANCE, { kind: 'problem', detail: 'x'.repeat(5_000) })
  assert.equal(world.writes, 0, 'a wake does not wait for the disk')
  await world.clock.advance(500)
  assert.equal(world.writes, 1)
  await world.clock.advance(1_000)
  world.history.note(INSTANCE, { kind: 'sleep', by: 'idle' })
  await world.history[Symbol.asyncDispose]()
  world.history = world.begin()
  const events = await world.history.events(BLOG, { limit: 10 })
  assert.deepEqual(
    events.map(({ kind, instance, node }) => [kind, instance, node]),
    ['sleep', 'problem', 'wake'].map(kind => [kind, 'blog', 'n1']),
  )
  assert.equal(events[1]?.detail?.length, 1_001, 'a long detail is shortened')
})

test('a crash is kept with the last lines of the app, shortened', async () => {
  const world = new World()
  world.lines = ['x'.repeat(2_000), 'no database']
  world.history.note(INSTANCE, { kind: 'crash', code: 'app-crashed', detail: 'blog ended with exit code 3' })
  const [crash] = await world.history.events(BLOG, { limit: 1 })
  assert.match(crash?.detail ?? '', /^blog ended with exit code 3; its last lines:\nx+\nno database$/)
  assert.ok((crash?.detail?.length ?? 0) < 600)
})

test('a flood of events of one app is cut off, and other apps keep theirs', async () => {
  const world = new World()
  for (let sent = 0; sent < 10_000; sent++) world.history.note(INSTANCE, { kind: 'problem' })
  world.history.note(instanceId(appName('shop')), { kind: 'wake' })
  assert.equal((await world.history.events(BLOG, { limit: 1_000 })).length, 100)
  assert.equal((await world.history.events(appName('shop'), { limit: 10 })).length, 1)
})

test('a full disk costs history and nothing else, and is told of once', async () => {
  const world = new World()
  world.isFull = true
  for (let times = 0; times < 3; times++) {
    world.history.note(INSTANCE, { kind: 'wake' })
    await world.clock.advance(1_000)
  }
  assert.deepEqual(world.logged, ['history of apps is not written'])
  world.isFull = false
  world.history.note(INSTANCE, { kind: 'sleep' })
  await world.clock.advance(1_000)
  assert.deepEqual(world.logged.slice(1), ['history of apps is written again'])
  assert.deepEqual(
    (await world.history.events(BLOG, { limit: 10 })).map(({ kind }) => kind),
    ['sleep'],
  )
})

test('a removed app leaves nothing, also of what was not written yet', async () => {
  const world = new World()
  world.history.note(INSTANCE, { kind: 'wake' })
  await world.clock.advance(1_000)
  world.history.note(INSTANCE, { kind: 'sleep' })
  await world.history.forget(BLOG)
  await world.clock.advance(1_000)
  assert.deepEqual(await world.history.events(BLOG, { limit: 10 }), [])
})
