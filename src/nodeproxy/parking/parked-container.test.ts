import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { aTask } from '../../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, releaseOf, settled } from '../../testing/instance-environment.ts'
import type { Instance } from '../instance.ts'

let here: InstanceEnvironment
let instance: Instance

beforeEach(() => {
  here = new InstanceEnvironment()
  instance = here.anInstance()
})
afterEach(() => assert.deepEqual(here.volumes.wrongs, []))

const made = () => here.runtime.count('create')
const isParked = () => [instance.parked.isParked, here.runtime.isParked(instance.id)]

/** Begins to park it, and stops in the runtime. */
async function parking() {
  const gate = here.runtime.gate('park')
  const parked = instance.parked.park().then(
    () => 'parked',
    () => 'called off',
  )
  await settled()
  assert.equal(here.runtime.count('park'), 1)
  return { gate, parked }
}

describe('a parked instance', () => {
  test('is asleep, has its volume nowhere, and says so', async () => {
    await instance.parked.park()
    assert.deepEqual([instance.phase, instance.view().parked], ['asleep', true])
    here.nothingLeft()
  })

  test('is woken with the container that waits', async () => {
    await instance.parked.park()
    release(await hold(instance))
    assert.deepEqual([isParked(), instance.view().parked], [[false, false], undefined])
    await instance.sleep('asked')
    here.nothingLeft()
  })

  test('is woken with another container if the one that waits cannot go on', async () => {
    await instance.parked.park()
    here.runtime.gateStaysShut = true
    release(await hold(instance))
    assert.deepEqual([made(), here.runtime.running().length, instance.phase], [2, 1, 'awake'])
    await instance.sleep('asked')
    here.nothingLeft()
  })

  test('is parked again after it has run, whether its image is pinned or not', async () => {
    release(await hold(instance))
    await instance.sleep('asked')
    await instance.parked.park()
    assert.deepEqual(isParked(), [true, true])
  })

  test('is parked once, however often that is asked for', async () => {
    const { gate, parked } = await parking()
    const again = instance.parked.park()
    gate.open()
    assert.equal(await parked, 'parked')
    await again
    assert.equal(here.runtime.count('park'), 1)
  })

  test('is not parked while it runs', async () => {
    const held = await hold(instance)
    assert.throws(
      () => void instance.parked.park(),
      error => isFailure(error, 'app-in-use'),
    )
    release(held)
  })

  test('that is parked while a request comes serves that at once, and is parked no more', async () => {
    const { gate, parked } = await parking()
    release(await hold(instance)) // the container is still being made
    assert.equal(await parked, 'called off')
    gate.open()
    await settled()
    assert.deepEqual([instance.phase, isParked()], ['awake', [false, false]])
  })

  test('whose definition changes while it is being parked is not parked by the old one', async () => {
    const { gate, parked } = await parking()
    instance.define(aTask({ revision: 2 }))
    gate.open()
    assert.equal(await parked, 'called off')
    await settled()
    assert.deepEqual(isParked(), [false, false])
    await instance.parked.park()
    assert.ok(here.runtime.calls.includes(`park ${instance.id}@2`))
  })

  test('whose definition changes has its container removed', async () => {
    await instance.parked.park()
    instance.define(aTask({ revision: 2 }))
    await settled()
    assert.deepEqual(isParked(), [false, false])
    assert.equal(here.volumes.shared.size, 0)
  })

  test('that does without its volume from now on leaves it in no mount', async () => {
    await instance.parked.park()
    assert.equal(here.volumes.shared.size, 1)
    instance.define(aTask({ revision: 2, volume: undefined }))
    await settled()
    assert.deepEqual([isParked(), [...here.volumes.shared]], [[false, false], []])
  })

  test('whose definition changes while its gate opens is stopped, and runs the new one', async () => {
    instance = here.anInstance(releaseOf(1))
    await instance.parked.park()
    const gate = here.runtime.gate('start')
    const held = hold(instance)
    await settled()
    instance.define(releaseOf(2))
    gate.open()
    release(await held)
    assert.deepEqual(here.revisions, [2])
  })

  test('that is unparked while it wakes keeps the container that it has taken', async () => {
    await instance.parked.park()
    const gate = here.runtime.gate('start')
    const held = hold(instance)
    await settled()
    await instance.parked.drop()
    gate.open()
    release(await held)
    assert.deepEqual([made(), instance.phase], [1, 'awake'])
  })

  test('has no container left when its volume is worked on, when it is removed and when its node stops', async () => {
    await instance.parked.park()
    await instance.inTurn(async () => assert.deepEqual(isParked(), [false, false]))
    await instance.parked.park()
    await instance.atRest(async () => assert.deepEqual(isParked(), [false, false]))
    await instance.parked.park()
    await instance.close(new Error('gone') as never, 'removed', { sleep: true })
    assert.deepEqual(isParked(), [false, false])
  })
})

const CRASH = new ShadowError('app-crashed', 'it ended')

/** Has the next wake fail by the app's own fault, once its container was started. */
async function failedWake(): Promise<void> {
  here.becomeReady = () => Promise.reject(CRASH)
  await assert.rejects(hold(instance), { code: 'app-crashed' })
  here.becomeReady = async () => undefined
}

async function ranOnce(): Promise<void> {
  release(await hold(instance))
  await instance.sleep('asked')
}

/** Has a wake from parked run the app in another container, since the kernel does not run its program from the gate. */
async function refusedWake(): Promise<void> {
  here.runtime.gateStaysShut = 'refused'
  await ranOnce()
  here.runtime.gateStaysShut = false
}

describe('an instance that failed when its gate was opened', () => {
  test('is not to be parked again while its definition is the same, and runs without that', async () => {
    assert.equal(instance.parked.hasFailed, false)
    await instance.parked.park()
    await failedWake()
    assert.equal(instance.parked.hasFailed, true)
    await ranOnce()
    assert.equal(instance.parked.hasFailed, true)
    instance.define(aTask({ revision: 2 }))
    assert.equal(instance.parked.hasFailed, false)
  })

  test('is not to be parked again while its image is the same', async () => {
    await instance.parked.park()
    await failedWake()
    here.runtime.imageIds.set(aTask().image, 'sha256:mended')
    await ranOnce() // which pins it to that image
    assert.equal(instance.parked.hasFailed, false)
  })

  test('may be tried again by a person', async () => {
    await instance.parked.park()
    await failedWake()
    await ranOnce()
    await instance.parked.park()
    assert.deepEqual(isParked(), [true, true])
    release(await hold(instance))
    assert.equal(instance.parked.hasFailed, false)
  })

  test('cannot be parked by anybody if the kernel does not run its program', async () => {
    await instance.parked.park()
    await refusedWake()
    assert.equal(instance.parked.hasFailed, true)
    await assert.rejects(instance.parked.park(), { code: 'not-parkable', message: /cannot run its program/ })
    assert.deepEqual([isParked(), here.volumes.shared.size], [[false, false], 0])
    instance.define(aTask({ revision: 2 }))
    await instance.parked.park()
    assert.deepEqual(isParked(), [true, true])
  })

  test('whose program the kernel does not run can be parked with another image', async () => {
    await instance.parked.park()
    here.runtime.gateStaysShut = 'refused'
    await failedWake()
    here.runtime.gateStaysShut = false
    here.runtime.imageIds.set(aTask().image, 'sha256:mended')
    await ranOnce() // which pins it to that image
    assert.equal(instance.parked.hasFailed, false)
    await instance.parked.park()
    assert.deepEqual(isParked(), [true, true])
  })
})

describe('an instance may be parked again', () => {
  test('that failed in a container which was not parked', async () => {
    await failedWake()
    assert.equal(instance.parked.hasFailed, false)
    await ranOnce()
    await instance.parked.park()
    here.runtime.gateStaysShut = true
    await failedWake()
    assert.equal(instance.parked.hasFailed, false)
  })

  test('whose wake failed through no fault of its own', async () => {
    await instance.parked.park()
    const gate = here.runtime.gate('start')
    const held = hold(instance)
    await settled()
    gate.fail(new ShadowError('runtime-unreachable', 'Docker does not answer'))
    await assert.rejects(held)
    assert.equal(instance.parked.hasFailed, false)
  })

  test('that ran well and ends later', async () => {
    await instance.parked.park()
    release(await hold(instance))
    await instance.sleep('asked')
    await failedWake()
    assert.equal(instance.parked.hasFailed, false)
  })
})
