import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { StopReason } from '../model/instance.ts'
import { volumeId } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import { straysOf } from './reconcile.ts'
import type { Lingering } from './volumes/lingering.ts'

const blog = volumeId('blog')
const MINUTE = 60_000
let environment: InstanceEnvironment
let lingering: Lingering
let instance: Instance

beforeEach(() => {
  environment = new InstanceEnvironment({ detachAfterMs: 10 * MINUTE })
  lingering = environment.lingering as Lingering
  instance = environment.anInstance()
})
afterEach(() => assert.deepEqual(environment.volumes.wrongs, []))

const count = (call: string): number => environment.volumes.calls.filter(made => made.startsWith(`${call} `)).length
const released = (): number => environment.leases.calls.filter(call => call.startsWith('release')).length
/** It is awake, and then asleep since nobody used it. */
async function idled(): Promise<void> {
  release(await hold(instance))
  await environment.clock.advance(5 * MINUTE)
  await settled()
  assert.equal(instance.phase, 'asleep')
}
const isKept = (): void => {
  assert.deepEqual([count('detach'), released(), lingering.has(blog)], [0, 0, true])
  assert.equal(environment.volumes.mountedNow.size, 0, 'it is unmounted')
}
const isGivenUp = (): void => {
  assert.deepEqual([count('detach'), released(), lingering.has(blog)], [1, 1, false])
  assert.equal(environment.volumes.devices.size, 0)
}

test('the disk of an app that nobody uses stays attached, and its next wake finds it', async () => {
  await idled()
  isKept()
  release(await hold(instance))
  assert.equal(lingering.has(blog), false)
  await environment.clock.advance(4 * MINUTE)
  assert.deepEqual([count('detach'), instance.phase], [0, 'awake'])
})

test('when its time is over, the disk is detached and its lease given up', async () => {
  await idled()
  await environment.clock.advance(9 * MINUTE)
  isKept()
  await environment.clock.advance(MINUTE)
  isGivenUp()
  environment.nothingLeft()
})

for (const why of ['asked', 'room', 'drained', 'drain-deadline', 'updated'] as const satisfies StopReason[])
  test(`after a sleep that was ${why} it is detached at once`, async () => {
    release(await hold(instance))
    await instance.sleep(why)
    isGivenUp()
  })

test('an app that dies, and one that is asked to sleep while its disk is kept, give it up', async () => {
  release(await hold(instance))
  const [running] = environment.runtime.running()
  assert.ok(running !== undefined)
  environment.runtime.end(running, { exitCode: 0, outOfMemory: false })
  await settled()
  isGivenUp()
  await idled()
  assert.equal(lingering.has(blog), true)
  await instance.sleep('asked')
  assert.deepEqual([count('detach'), released(), lingering.has(blog)], [2, 2, false])
})

test('an app that is removed, or whose volume is, gives it up first', async () => {
  await idled()
  await instance.atRest(async () => isGivenUp())
  await idled()
  await instance.close(new ShadowError('app-not-found', 'it was removed'), 'removed', { sleep: true })
  assert.deepEqual([count('detach'), lingering.has(blog)], [2, false])
})

test('a wake that comes while the disk is given up waits, and attaches it again', async () => {
  await idled()
  const detached = Promise.withResolvers<void>()
  const detach = environment.volumes.detach.bind(environment.volumes)
  environment.volumes.detach = async volume => {
    await detached.promise
    return detach(volume)
  }
  const givingUp = lingering.giveUp(blog)
  const woken = hold(instance)
  await settled()
  assert.equal(count('attach'), 1)
  detached.resolve()
  await givingUp
  release(await woken)
  assert.deepEqual([count('attach'), count('detach'), environment.volumes.devices.size], [2, 1, 1])
})

test('a disk that does not detach is tried again', async () => {
  await idled()
  environment.volumes.failures.set('detach', new ShadowError('cloud-failed', 'no answer came'))
  await lingering.giveUp(blog)
  assert.deepEqual([lingering.has(blog), released()], [true, 0])
  environment.volumes.failures.clear()
  await environment.clock.advance(MINUTE)
  assert.deepEqual([lingering.has(blog), released(), count('detach')], [false, 1, 2])
})

test('a wake for which there is no room gives the disk up before it is refused: another node takes the app', async () => {
  const full = new ShadowError('no-memory', 'there is none')
  environment.room = {
    admit: async () => undefined,
    adopt: () => undefined,
    leave: () => undefined,
    rename: () => undefined,
    shrink: () => undefined,
  }
  instance = environment.anInstance()
  await idled()
  Object.assign(environment.room, { admit: () => Promise.reject(full) })
  await assert.rejects(hold(instance), error => {
    isGivenUp()
    return isFailure(error, 'no-memory')
  })
})

test('an inventory takes a kept disk for no left-over', async () => {
  await idled()
  const inventory = { at: 0, containers: new Map(), mounted: new Set<never>(), volumes: new Map([[blog, undefined]]) }
  const strays = (kept: Lingering | undefined) =>
    straysOf(instance.id, instance.task, inventory, { volumes: environment.drivers, lingering: kept } as never)
  assert.equal(strays(lingering), undefined)
  assert.notEqual(strays(undefined), undefined, 'one of an earlier run is detached')
})

describe('disks are given up', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(name => volumeId(name)) as [typeof blog, typeof blog, typeof blog]
  const kept = (): string[] => [a, b, c].filter(volume => lingering.has(volume))
  beforeEach(async () => {
    for (const volume of [a, b, c]) {
      const { id } = environment.anInstance(aTask({ app: volume as never }))
      lingering.permit(id, true)
      assert.equal(lingering.keep(id, { id: volume }), true)
    }
  })

  test('the longest kept first, where slots run out; not the one that is woken', async () => {
    await lingering.giveUpDownTo(1, a)
    assert.deepEqual(kept(), [a, c])
    await lingering.giveUpDownTo(-1, a)
    assert.deepEqual(kept(), [a])
  })

  test('all of them, when the node stops; and none is kept from then on', async () => {
    await lingering.close()
    assert.deepEqual([kept(), environment.clock.waiting], [[], 0])
    const { id } = instance
    lingering.permit(id, true)
    assert.equal(lingering.keep(id, { id: blog }), false)
  })
})

test('by itself, and for storage that excludes nobody, no disk stays', async () => {
  for (const plain of [
    new InstanceEnvironment({ detachAfterMs: 0 }),
    new InstanceEnvironment({ excludes: false }),
    new InstanceEnvironment(),
  ]) {
    environment = plain
    instance = plain.anInstance()
    await idled()
    assert.equal(count('detach'), 1)
  }
})

test('the app says how long its disk stays attached, before the setting of the node', async () => {
  instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, detachAfter: duration('1m') } }))
  await idled()
  await environment.clock.advance(MINUTE - 1)
  isKept()
  await environment.clock.advance(1)
  isGivenUp()
})

test('the app may say that its disk does not stay attached', async () => {
  instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, detachAfter: duration('0s') } }))
  await idled()
  isGivenUp()
})

test('the disk of an app that slept because the machine was short of memory stays attached', async () => {
  release(await hold(instance))
  assert.equal(await instance.stepDown('asleep', environment.clock.now()), true)
  isKept()
})
