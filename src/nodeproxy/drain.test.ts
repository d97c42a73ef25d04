import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release } from '../testing/instance-environment.ts'
import { drainMs, drainOf } from './drain.ts'

const task = aTask()
const own = { ...task, sleep: { ...task.sleep, drain: duration('3s') } }

describe('how long requests in flight may go on', () => {
  test('is said by the app before the node, and nobody waits for an app that nobody uses', () => {
    const usual = { stopMs: 1, updateMs: 2 }
    assert.deepEqual([drainMs('asked', drainOf(task, usual)), drainMs('updated', drainOf(task, usual))], [1, 2])
    assert.deepEqual(
      [drainMs('shutdown', drainOf(own, usual)), drainMs('updated', drainOf(own, usual))],
      [3_000, 3_000],
    )
    for (const why of ['idle', 'room', 'died'] as const) assert.equal(drainMs(why, drainOf(own, usual)), 0)
  })

  test('is told before a stop, and how many it has cut after it', async () => {
    const environment = new InstanceEnvironment()
    const instance = environment.anInstance(own)
    const held = await hold(instance)
    assert.deepEqual(instance.view().drain, { stopMs: 3_000, updateMs: 3_000 })
    const sleeping = instance.sleep('asked')
    await environment.clock.advance(2_999)
    assert.equal(instance.phase, 'stopping')
    assert.equal(environment.runtime.count('stop'), 0)
    await environment.clock.advance(1)
    await sleeping
    assert.deepEqual([instance.phase, instance.view().cut], ['asleep', 1])
    release(held)
  })

  test('ends with the last request, of which nothing is cut then', async () => {
    const environment = new InstanceEnvironment()
    const instance = environment.anInstance(own)
    const held = await hold(instance)
    const sleeping = instance.sleep('asked')
    await environment.clock.advance(1_000)
    release(held)
    await sleeping
    assert.deepEqual([instance.phase, instance.view().cut], ['asleep', 0])
  })
})
