import assert from 'node:assert/strict'
import { test } from 'vitest'
import { instanceId } from '../model/instance-id.ts'
import type { Duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release } from '../testing/instance-environment.ts'

const task = aTask({ volume: undefined, sleep: { ...aTask().sleep, idleAfter: '10s' as Duration } })

/** An instance that a front keeps awake for 20 s. */
async function aKept(of = task) {
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(of)
  const held = await hold(instance)
  instance.keep(20_000, 'at least 1 kept awake')
  release(held)
  return { ...environment, clock: environment.clock, instance }
}

test('an instance that is kept sleeps when it is kept no longer, and says until when and why', async () => {
  const { clock, instance } = await aKept()
  assert.deepEqual(instance.view().kept?.why, 'at least 1 kept awake')
  assert.equal(instance.view().sleepsAt, instance.view().kept?.until)
  await clock.advance(15_000)
  instance.keep(20_000, 'at least 1 kept awake')
  await clock.advance(19_999)
  assert.equal(instance.phase, 'awake')
  await clock.advance(1)
  assert.deepEqual([instance.phase, instance.view().kept], ['asleep', undefined])
})

test('an instance that is kept is no idle one that could make room', async () => {
  const { clock, instance } = await aKept()
  assert.equal(instance.idleSince, undefined)
  await clock.advance(19_999)
  assert.equal(instance.phase, 'awake')
})

for (const why of ['drained', 'asked', 'updated'] as const)
  test(`an instance that is kept is stopped all the same: ${why}`, async () => {
    const { instance } = await aKept()
    await instance.sleep(why)
    assert.equal(instance.phase, 'asleep')
  })

test('an instance that is woken again while it is kept is kept on', async () => {
  const { clock, instance } = await aKept()
  await instance.sleep('asked')
  release(await hold(instance))
  await clock.advance(15_000)
  assert.equal(instance.phase, 'awake')
})

test('a further instance of an app that never sleeps does sleep', async () => {
  const environment = new InstanceEnvironment()
  const never = aTask({ volume: undefined, sleep: { ...task.sleep, idleAfter: 'never' } })
  const instance = environment.anInstance(never, {}, instanceId(task.app, '2'))
  release(await hold(instance))
  await environment.clock.advance(60_000)
  assert.equal(instance.phase, 'asleep')
})
