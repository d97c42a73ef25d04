import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { App } from '../model/app.ts'
import { appOf, type InstanceId, instanceId } from '../model/instance-id.ts'
import { appName, nodeName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest, anApp, aTask } from '../testing/fake-app.ts'
import { FakeLeases } from '../testing/fake-leases.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { settled } from '../testing/instance-environment.ts'
import { until } from '../testing/wire.ts'
import { Instances } from './instances.ts'
import { Queue } from './queue.ts'
import type { Container } from './runtime/runtime.ts'

const never = new AbortController().signal
const stays = { signal: never }
const blog = anApp()
const blogId = instanceId(blog.name)
const blogVolume = volumeId('blog')

let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes
let known: App[]
let isReady: boolean
/** Addresses at which nothing is ready. */
let notReady: Set<string>
let adopted: string[]

beforeEach(() => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  volumes = new FakeVolumes()
  known = [blog]
  isReady = true
  notReady = new Set()
  adopted = []
})

function someInstances() {
  const bounds = { requests: 100, bytes: 1_000_000 }
  return new Instances({
    parts: {
      clock,
      runtime,
      volumes: volumes.drivers,
      leaseLostGraceMs: 5_000,
      filesystem: volumes,
      leases: new FakeLeases(),
      untilReady: async ({ address }) => {
        if (!isReady || notReady.has(address)) throw new Error('it is not ready')
      },
      onStarted: () => undefined,
      onStep: () => undefined,
      node: nodeName('n1'),
      queue: new Queue({ perApp: bounds, perNode: bounds }),
      log: noLog,
      journal: () => undefined,
      reopensWithinMs: 0,
      onRunEnded: () => undefined,
    },
    definitions: () => known,
    learnOf: async () => undefined,
    onAdopted: ({ id }) => void adopted.push(id),
  })
}

/** A container that an earlier run of the node left behind. */
async function left(options: { instance?: InstanceId; revision?: number; running: boolean }): Promise<Container> {
  const { instance = blogId, revision = 1, running } = options
  const container = await runtime.create(instance, { app: appOf(instance), revision }, undefined, never)
  if (running) await runtime.start(container, never)
  runtime.calls.length = 0
  return container
}

async function leftVolume(volume = blogVolume, mounted = true): Promise<void> {
  await volumes.create(volume, 1, async () => undefined)
  await volumes.attach(volume)
  if (mounted) await volumes.mount(volume)
  volumes.calls.length = 0
}

const nothingLeft = (): void => {
  assert.equal(runtime.containers.size, 0)
  assert.equal(volumes.mountedNow.size, 0)
  assert.equal(volumes.devices.size, 0)
  assert.deepEqual(volumes.wrongs, [])
}

test('a container that runs, with its volume under it, is taken over and serves on', async () => {
  const container = await left({ running: true })
  await leftVolume()
  const instances = someInstances()
  await instances.reconcile()
  assert.deepEqual(adopted, [container.id])
  using held = await instances.hold(blogId, blog, aHoldRequest(), stays)
  assert.equal(held.address, '10.0.0.2:8000')
  assert.equal(held.waited, undefined)
  assert.deepEqual(runtime.calls, ['thaw blog'])
})

test('a container that was frozen is taken over as it is, and goes on for the next request', async () => {
  const container = await left({ running: true })
  runtime.frozen.add(container.id)
  isReady = false // it is not asked
  await leftVolume()
  const instances = someInstances()
  await instances.reconcile()
  assert.deepEqual([adopted, instances.get(blogId)?.phase, runtime.calls], [[container.id], 'frozen', []])
  using held = await instances.hold(blogId, blog, aHoldRequest(), stays)
  assert.equal(held.address, '10.0.0.2:8000')
  assert.deepEqual([instances.get(blogId)?.phase, runtime.calls], ['awake', ['thaw blog']])
})

test('a container that was frozen sleeps when nobody asks for it, whole', async () => {
  runtime.frozen.add((await left({ running: true })).id)
  await leftVolume()
  await someInstances().reconcile()
  await clock.advance(300_000)
  nothingLeft()
})

test('a container that was frozen sleeps if it is of an older revision, and the next request starts the newer', async () => {
  runtime.frozen.add((await left({ running: true })).id)
  await leftVolume()
  const newer = anApp(aTask({ revision: 2 }))
  known = [newer]
  const instances = someInstances()
  await instances.reconcile()
  await settled()
  assert.equal(instances.get(blogId)?.phase, 'asleep')
  using _ = await instances.hold(blogId, newer, aHoldRequest(), stays)
  assert.deepEqual(
    runtime.running().map(({ revision }) => revision),
    [2],
  )
})

test('what was taken over sleeps when it is idle, whole', async () => {
  await left({ running: true })
  await leftVolume()
  const instances = someInstances()
  await instances.reconcile()
  await clock.advance(300_000)
  nothingLeft()
})

test('a container of an older revision is taken over, and gives way at once to the newer', async () => {
  await left({ running: true })
  await leftVolume()
  known = [anApp(aTask({ revision: 2 }))]
  const instances = someInstances()
  await instances.reconcile()
  await settled()
  assert.deepEqual(
    runtime.running().map(({ revision }) => revision),
    [2],
  )
})

for (const [what, prepare] of [
  ['created but never started', () => left({ running: false }).then(() => leftVolume())],
  ['running without its volume', () => left({ running: true })],
  [
    'running with its volume attached but not mounted',
    () => left({ running: true }).then(() => leftVolume(blogVolume, false)),
  ],
  [
    'running but not ready',
    async () => {
      isReady = false
      await left({ running: true })
      await leftVolume()
    },
  ],
  ['gone, its volume still mounted', () => leftVolume()],
  ['gone, its volume still attached', () => leftVolume(blogVolume, false)],
  [
    'of an app that nobody knows',
    () => left({ instance: instanceId(appName('ghost')), running: true }).then(() => leftVolume(volumeId('ghost'))),
  ],
] as const) {
  test(`a container that is ${what} is undone, and nothing is left`, async () => {
    await prepare()
    const instances = someInstances()
    await instances.reconcile()
    nothingLeft()
    isReady = true
    await instances.hold(blogId, blog, aHoldRequest(), stays)
  })
}

test('what cannot be undone after a start is shown as stuck, and taken up by the next wake', async () => {
  await leftVolume()
  volumes.failures.set('unmount', new Error('busy'))
  const instances = someInstances()
  await instances.reconcile()
  assert.equal(instances.get(blogId)?.phase, 'stuck')
  assert.deepEqual(instances.get(blogId)?.view().held, ['detach', 'unmount'])
  await assert.rejects(
    async () => instances.hold(blogId, blog, aHoldRequest(), stays),
    error => isFailure(error, 'app-stuck'),
  )
  volumes.failures.clear()
  await instances.hold(blogId, blog, aHoldRequest(), stays)
})

test('while the runtime does not answer nothing is undone or woken; when it does, what an earlier run left is undone first', async () => {
  await left({ running: true })
  await leftVolume()
  runtime.isAlive = false
  const instances = someInstances()
  await assert.rejects(instances.reconcile(), error => isFailure(error, 'runtime-unreachable'))
  await assert.rejects(
    async () => instances.hold(blogId, blog, aHoldRequest(), stays),
    error => isFailure(error, 'runtime-unreachable'),
  )
  assert.equal(volumes.mountedNow.size, 1)
  runtime.isAlive = true
  await clock.advance(1_000)
  assert.equal(adopted.length, 1)
})

test('a container removed by hand is noticed within half a minute', async () => {
  const instances = someInstances()
  await instances.reconcile()
  ;(await instances.hold(blogId, blog, aHoldRequest(), stays))[Symbol.dispose]()
  runtime.containers.clear()
  await clock.advance(30_000)
  assert.equal(instances.get(blogId)?.phase, 'crashed')
  nothingLeft()
})

test('a stuck app is tried again by itself', async () => {
  const instances = someInstances()
  await instances.reconcile()
  const held = await instances.hold(blogId, blog, aHoldRequest(), stays)
  held[Symbol.dispose]()
  volumes.failures.set('unmount', new Error('busy'))
  await assert.rejects(instances.get(blogId)!.sleep('asked'))
  volumes.failures.clear()
  await clock.advance(30_000)
  nothingLeft()
  assert.equal(instances.get(blogId)?.phase, 'asleep')
})

test('a container that appears beside a sleeping app is removed', async () => {
  const instances = someInstances()
  await instances.reconcile()
  instances.of(blogId, blog)
  await left({ running: true })
  await clock.advance(30_000)
  nothingLeft()
})

test('a look that began before a wake was done harms nothing', async () => {
  const instances = someInstances()
  await instances.reconcile()
  const leftBehind = Promise.withResolvers<readonly never[]>()
  const look = runtime.leftBehind
  runtime.leftBehind = () => leftBehind.promise
  const looking = instances.reconcile()
  runtime.leftBehind = look
  const held = await instances.hold(blogId, blog, aHoldRequest(), stays)
  leftBehind.resolve([])
  await looking
  assert.equal(instances.get(blogId)?.phase, 'awake')
  held[Symbol.dispose]()
})

test('an app that is removed is put to sleep and forgotten', async () => {
  const instances = someInstances()
  await instances.reconcile()
  ;(await instances.hold(blogId, blog, aHoldRequest(), stays))[Symbol.dispose]()
  await instances.forget(blog.name)
  nothingLeft()
  assert.equal(instances.get(blogId), undefined)
})

test('an app that is registered anew while the one before it is still leaving is served once that has left', async () => {
  const instances = someInstances()
  await instances.reconcile()
  ;(await instances.hold(blogId, blog, aHoldRequest(), stays))[Symbol.dispose]()
  const stop = runtime.gate('stop')
  const steps: string[] = []
  const forgotten = instances.forget(blog.name, async () => void steps.push('the last of the old one is done'))
  await until(() => instances.get(blogId)?.phase === 'stopping')
  const anew = { ...blog, createdAt: '2027-01-01T00:00:00.000Z' }
  const holding = Promise.resolve(instances.hold(blogId, anew, aHoldRequest(), stays)).then(held => {
    steps.push('the new one is held')
    return held
  })
  const ofTheOld = assert.rejects(
    async () => instances.hold(blogId, blog, aHoldRequest(), stays),
    error => isFailure(error, 'app-not-found'),
  )
  stop.open()
  await Promise.all([forgotten, ofTheOld])
  using _held = await holding
  assert.deepEqual(steps, ['the last of the old one is done', 'the new one is held'])
  assert.equal(instances.get(blogId)?.phase, 'awake')
})

test('the node as a whole takes no more than its bound of waiting requests', async () => {
  const gate = runtime.gate('start')
  const instances = someInstances()
  await instances.reconcile()
  const other = anApp(
    aTask({ app: appName('shop'), volume: { id: volumeId('shop'), size: size('32MiB'), path: '/data' } }),
  )
  const waiting = Array.from({ length: 100 }, (_, i) => {
    const app = i % 2 ? blog : other
    return instances.hold(instanceId(app.name), app, aHoldRequest(), stays)
  })
  await assert.rejects(
    async () => instances.hold(blogId, blog, aHoldRequest(), stays),
    error => isFailure(error, 'queue-full'),
  )
  gate.open()
  await Promise.all(waiting)
})

test('closing without sleep leaves what runs running, and ends all looking', async () => {
  const instances = someInstances()
  await instances.reconcile()
  ;(await instances.hold(blogId, blog, aHoldRequest(), stays))[Symbol.dispose]()
  await instances.close({ sleep: false })
  assert.equal(runtime.running().length, 1)
  assert.equal(clock.waiting, 0)
})

describe('of an app without a volume that was being switched when the node ended', () => {
  const release = (revision: number, deploy?: TaskDefinition['deploy']): App =>
    anApp(aTask({ revision, volume: undefined, ...(deploy && { deploy }) }))

  /** Containers of these revisions, each at an address of its own. */
  async function leftOf(...revisions: number[]): Promise<void> {
    for (const revision of revisions) {
      runtime.ip = `10.0.0.${revision}`
      await left({ revision, running: true })
    }
    runtime.ip = '10.0.0.99'
  }
  const running = (): number[] => runtime.running().map(({ revision }) => revision)

  test('the newer one is taken over if it is ready, and the earlier one is removed', async () => {
    await leftOf(1, 2)
    known = [release(2)]
    const instances = someInstances()
    await instances.reconcile()
    assert.deepEqual([running(), runtime.containers.size, runtime.count('create')], [[2], 1, 0])
    using held = await instances.hold(blogId, release(2), aHoldRequest(), stays)
    assert.equal(held.release, 2)
  })

  test('the earlier one serves if the newer one is not ready, which is started anew', async () => {
    await leftOf(1, 2)
    notReady.add('10.0.0.2:8000')
    known = [release(2)]
    const instances = someInstances()
    const gate = runtime.gate('start')
    await instances.reconcile()
    await settled()
    using held = await instances.hold(blogId, release(2), aHoldRequest(), stays)
    assert.deepEqual([held.release, running()], [1, [1]])
    gate.open()
    await settled()
    assert.deepEqual(running(), [1, 2]) // the request above is under way
  })

  test('what was made and never started is removed', async () => {
    await leftOf(1)
    await left({ revision: 2, running: false })
    known = [release(1)]
    const instances = someInstances()
    await instances.reconcile()
    assert.deepEqual([running(), runtime.containers.size], [[1], 1])
  })

  test('earlier ones are kept if its sessions stay, until nobody has used them for the idle time', async () => {
    await leftOf(1, 2)
    const app = release(2, { sessions: 'stay' })
    known = [app]
    const instances = someInstances()
    await instances.reconcile()
    const mine = aHoldRequest({ release: { revision: 1, isStrict: false } })
    const held = await instances.hold(blogId, app, mine, stays)
    assert.equal(held.release, 1)
    held[Symbol.dispose]()
    await clock.advance(299_000)
    assert.deepEqual(running(), [1, 2])
    ;(await instances.hold(blogId, app, aHoldRequest(), stays))[Symbol.dispose]()
    await clock.advance(1_000)
    await settled()
    assert.deepEqual(running(), [2])
  })

  test('a stray beside the one that serves is removed by the next inventory', async () => {
    await leftOf(2)
    known = [release(2)]
    const instances = someInstances()
    await instances.reconcile()
    await left({ revision: 1, running: true })
    const check = await left({ revision: 3, running: false })
    runtime.containers.set(check.id, { ...runtime.containers.get(check.id)!, key: undefined })
    await instances.reconcile()
    assert.deepEqual([running(), [...runtime.containers.keys()].length], [[2], 2]) // the check goes on
  })
})

test('of an app with a volume, a container that was made for the next release and never started is removed', async () => {
  const container = await left({ running: true })
  await left({ revision: 2, running: false })
  await leftVolume()
  const instances = someInstances()
  await instances.reconcile()
  assert.deepEqual([adopted, runtime.containers.size], [[container.id], 1])
})
