import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { volumeId } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'

const blog = volumeId('blog')
let environment: InstanceEnvironment

beforeEach(() => {
  environment = new InstanceEnvironment({ excludes: false })
})
afterEach(() => {
  assert.deepEqual(environment.volumes.wrongs, [])
})

test('an instance whose lease is lost stops, unmounts, detaches and gives the lease up, whatever is in hand', async () => {
  const instance = environment.anInstance()
  await hold(instance)
  environment.leases.lose(blog)
  await settled()
  assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'lease-lost'])
  assert.equal(instance.view().problem?.code, 'volume-elsewhere')
  assert.deepEqual(environment.volumes.calls.slice(-2), ['unmount blog', 'detach blog'])
  assert.deepEqual(environment.leases.calls, ['take blog', 'release blog'])
  environment.nothingLeft()
})

test('a lost lease does not wait for the requests that a sleep under way waits for', async () => {
  const instance = environment.anInstance()
  await hold(instance)
  const asleep = instance.sleep('asked')
  await settled()
  assert.equal(environment.runtime.count('stop'), 0)
  environment.leases.lose(blog)
  await settled()
  assert.equal(environment.runtime.running().length, 0)
  await environment.clock.advance(10_000)
  await asleep
  environment.nothingLeft()
})

test('a lease that is lost during the wake ends the wake and undoes it', async () => {
  const ready = environment.slowReady()
  const instance = environment.anInstance()
  const held = assert.rejects(hold(instance), error => isFailure(error, 'volume-elsewhere'))
  await settled()
  assert.equal(environment.runtime.running().length, 1)
  environment.leases.lose(blog)
  await held
  await settled()
  assert.equal(instance.phase, 'asleep')
  environment.nothingLeft()
  ready.resolve()
})

test('an instance that goes to sleep gives its lease up last, and the next wake takes one anew', async () => {
  const instance = environment.anInstance()
  release(await hold(instance))
  await instance.sleep('asked')
  assert.deepEqual(environment.leases.calls, ['take blog', 'release blog'])
  release(await hold(instance))
  assert.deepEqual(environment.leases.calls.at(-1), 'take blog')
})

test('an app with a long grace is given a short one when its lease is lost', async () => {
  const instance = environment.anInstance(
    aTask({ sleep: { idleAfter: duration('5m'), grace: duration('10m'), webSockets: 'hold' } }),
  )
  await hold(instance)
  environment.leases.lose(blog)
  await settled()
  assert.deepEqual(new Set(environment.runtime.graces), new Set([5_000]))
})

test('a node that stops and leaves its apps running puts one to sleep whose lease would expire', async () => {
  const instance = environment.anInstance()
  release(await hold(instance))
  await instance.close(new ShadowError('shutting-down', 'this node is stopping'), 'shutdown', { sleep: false })
  assert.equal(instance.phase, 'asleep')
  assert.deepEqual(environment.leases.calls, ['take blog', 'release blog'])
  environment.nothingLeft()
})

test('a lease that lasts until it is given up is kept through a sleep', async () => {
  const here = new InstanceEnvironment()
  const instance = here.anInstance()
  release(await hold(instance))
  await instance.sleep('asked')
  assert.deepEqual(here.leases.calls, ['take blog'])
})
