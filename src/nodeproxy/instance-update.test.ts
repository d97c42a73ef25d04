import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceGround, release, settled } from '../testing/instance-ground.ts'

let ground: InstanceGround
let clock: HandClock
let runtime: FakeRuntime

beforeEach(() => {
  ground = new InstanceGround()
  ;({ clock, runtime } = ground)
})

afterEach(() => {
  assert.deepEqual(ground.volumes.wrongs, [])
})

describe('a new revision', () => {
  test('those in flight finish on the old one, those who come wait for the new one', async () => {
    const instance = ground.anInstance()
    const old = await hold(instance)
    instance.define(aTask({ revision: 2 }))
    await settled()
    const coming = hold(instance)
    await clock.advance(20_000)
    assert.equal(instance.phase, 'stopping')
    assert.equal(runtime.count('stop'), 0)
    release(old)
    release(await coming)
    assert.equal(instance.view().revision, 2)
    assert.equal(runtime.running()[0]?.revision, 2)
  })

  test('those in flight have 30 seconds, and where nobody waits the app stays asleep', async () => {
    const instance = ground.anInstance()
    const old = await hold(instance)
    instance.define(aTask({ revision: 2 }))
    await clock.advance(29_999)
    assert.equal(runtime.count('stop'), 0)
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'updated')
    release(old)
  })

  test('one that comes during a wake ends that wake, and those who wait get the new one', async () => {
    ground.slowReady()
    const instance = ground.anInstance()
    const waiting = hold(instance)
    await settled()
    ground.becomeReady = async () => undefined
    instance.define(aTask({ revision: 2 }))
    await waiting
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('one that comes in the moment in which the old one is ready replaces it', async () => {
    const instance = ground.anInstance(aTask(), { onReady: () => instance.define(aTask({ revision: 2 })) })
    release(await hold(instance))
    await settled()
    release(await hold(instance))
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('the same revision again changes nothing', async () => {
    const instance = ground.anInstance()
    release(await hold(instance))
    instance.define(aTask())
    await settled()
    assert.equal(instance.phase, 'awake')
  })
})
