import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../testing/instance-environment.ts'

const MINUTE = 60_000
const task = aTask({ sleep: { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold' } })

async function awake() {
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(task)
  release(await hold(instance))
  return { environment, instance, clock: environment.clock }
}

test('a busy lease keeps its app awake to its end, and then the idle clock starts', async () => {
  const { instance, clock } = await awake()
  instance.busy.take('resize', 30 * MINUTE, 'resizing 300 images')
  await clock.advance(29 * MINUTE)
  assert.equal(instance.phase, 'awake')
  const [use] = instance.view().holds
  assert.deepEqual([use?.kind, use?.what], ['busy', 'resizing 300 images'])
  assert.equal(Date.parse(use?.until ?? '') - Date.parse(use?.since ?? ''), 30 * MINUTE)
  assert.equal(instance.view().sleepsAt, null)
  await clock.advance(MINUTE)
  assert.deepEqual(instance.view().holds, [])
  await clock.advance(5 * MINUTE - 1)
  assert.equal(instance.phase, 'awake')
  await clock.advance(1)
  await settled()
  assert.equal(instance.phase, 'asleep')
})

test('a lease may be extended, and ended before its time', async () => {
  const { instance, clock } = await awake()
  instance.busy.take('a', MINUTE, 'first')
  await clock.advance(30_000)
  instance.busy.take('a', 10 * MINUTE, 'second')
  await clock.advance(9 * MINUTE)
  assert.deepEqual(
    instance.busy.all.map(({ name, why }) => [name, why]),
    [['a', 'second']],
  )
  assert.equal(instance.busy.end('a'), true)
  assert.equal(instance.busy.end('a'), false)
  await clock.advance(5 * MINUTE)
  await settled()
  assert.equal(instance.phase, 'asleep')
})

test('there are sixteen leases at most, and none is longer than a day', async () => {
  const { instance } = await awake()
  for (let count = 0; count < 16; count += 1) instance.busy.take(`lease-${count}`, MINUTE, 'work')
  assert.throws(
    () => instance.busy.take('one-more', MINUTE, 'work'),
    error => isFailure(error, 'bad-input'),
  )
  const { since, until } = instance.busy.take('lease-0', 400 * 24 * 60 * MINUTE, 'work')
  assert.equal(until - since, 24 * 60 * MINUTE)
})

test('a lease that an app takes while it starts counts once it is awake', async () => {
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(task)
  const ready = environment.slowReady()
  const waking = hold(instance)
  await settled()
  instance.busy.take('import', 20 * MINUTE, 'importing')
  ready.resolve()
  release(await waking)
  await environment.clock.advance(19 * MINUTE)
  assert.equal(instance.phase, 'awake')
})

test('the leases of a run end with it: the next run has none', async () => {
  const { environment, instance } = await awake()
  instance.busy.take('a', 60 * MINUTE, 'work')
  const [container] = environment.runtime.running()
  assert.ok(container)
  environment.runtime.end(container, { exitCode: 1, outOfMemory: false })
  await settled()
  assert.equal(instance.phase, 'crashed')
  assert.deepEqual(instance.busy.all, [])
  release(await hold(instance))
  assert.deepEqual(instance.view().holds, [])
})

test('leases of an earlier run of the node are taken over, those that have ended are not', async () => {
  const { instance, clock } = await awake()
  const at = clock.wall()
  instance.busy.restore([
    { name: 'old', why: 'long over', since: at - 2 * MINUTE, until: at - MINUTE },
    { name: 'a', why: 'still at work', since: at - MINUTE, until: at + 10 * MINUTE },
    { name: 'odd', why: 'the clock was set back', since: at, until: at + 1_000 * 24 * 60 * MINUTE },
  ])
  assert.deepEqual(
    instance.busy.all.map(({ name, until }) => [name, until - at]),
    [
      ['a', 10 * MINUTE],
      ['odd', 24 * 60 * MINUTE],
    ],
  )
  await clock.advance(9 * MINUTE)
  assert.equal(instance.phase, 'awake')
})

test('an app that asks to sleep sleeps as soon as nobody uses it, and says so', async () => {
  const { environment, instance, clock } = await awake()
  const held = await hold(instance)
  instance.busy.take('a', 60 * MINUTE, 'work')
  instance.sleepSoon()
  await clock.advance(MINUTE)
  assert.equal(instance.phase, 'awake')
  release(held)
  await clock.advance(0)
  await settled()
  assert.equal(instance.phase, 'asleep')
  assert.equal(instance.view().stoppedBy, 'self')
  assert.ok(environment.journal.includes('going to sleep: self'))
  release(await hold(instance))
  await clock.advance(4 * MINUTE)
  assert.equal(instance.phase, 'awake', 'the next run has its whole idle time')
})

test('also an app that never sleeps by itself may ask for it', async () => {
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(aTask({ sleep: { ...task.sleep, idleAfter: 'never' } }))
  await instance.wake({ says: 'a person', cause: 'person' }, never)
  instance.sleepSoon()
  await environment.clock.advance(0)
  await settled()
  assert.equal(instance.phase, 'asleep')
})
