import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { volumeId } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceGround, release, settled } from '../testing/instance-ground.ts'

const blog = volumeId('blog')
let ground: InstanceGround

beforeEach(() => {
  ground = new InstanceGround({ excludes: false })
})
afterEach(() => {
  assert.deepEqual(ground.volumes.wrongs, [])
})

test('an instance whose lease is lost stops, unmounts, detaches and gives the lease up, whatever is in hand', async () => {
  const instance = ground.anInstance()
  await hold(instance)
  ground.leases.lose(blog)
  await settled()
  assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'lease-lost'])
  assert.equal(instance.view().problem?.code, 'volume-elsewhere')
  assert.deepEqual(ground.volumes.calls.slice(-2), ['unmount blog', 'detach blog'])
  assert.deepEqual(ground.leases.calls, ['take blog', 'release blog'])
  ground.nothingLeft()
})

test('a lost lease does not wait for the requests that a sleep under way waits for', async () => {
  const instance = ground.anInstance()
  await hold(instance)
  const asleep = instance.sleep('asked')
  await settled()
  assert.equal(ground.runtime.count('stop'), 0)
  ground.leases.lose(blog)
  await settled()
  assert.equal(ground.runtime.running().length, 0)
  await ground.clock.advance(10_000)
  await asleep
  ground.nothingLeft()
})

test('a lease that is lost during the wake ends the wake and undoes it', async () => {
  const ready = ground.slowReady()
  const instance = ground.anInstance()
  const held = assert.rejects(hold(instance), error => isFailure(error, 'volume-elsewhere'))
  await settled()
  assert.equal(ground.runtime.running().length, 1)
  ground.leases.lose(blog)
  await held
  await settled()
  assert.equal(instance.phase, 'asleep')
  ground.nothingLeft()
  ready.resolve()
})

test('an instance that goes to sleep gives its lease up last, and the next wake takes one anew', async () => {
  const instance = ground.anInstance()
  release(await hold(instance))
  await instance.sleep('asked')
  assert.deepEqual(ground.leases.calls, ['take blog', 'release blog'])
  release(await hold(instance))
  assert.deepEqual(ground.leases.calls.at(-1), 'take blog')
})

test('an app with a long grace is given a short one when its lease is lost', async () => {
  const instance = ground.anInstance(
    aTask({ sleep: { idleAfter: duration('5m'), grace: duration('10m'), webSockets: 'hold' } }),
  )
  await hold(instance)
  ground.leases.lose(blog)
  await settled()
  assert.deepEqual(new Set(ground.runtime.graces), new Set([5_000]))
})

test('a lease that lasts until it is given up is kept through a sleep', async () => {
  const here = new InstanceGround()
  const instance = here.anInstance()
  release(await hold(instance))
  await instance.sleep('asked')
  assert.deepEqual(here.leases.calls, ['take blog'])
})
