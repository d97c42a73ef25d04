import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import type { Phase } from '../../model/instance.ts'
import { aTask } from '../../testing/fake-app.ts'
import { hold, InstanceEnvironment, settled } from '../../testing/instance-environment.ts'
import type { Instance } from '../instance.ts'

const GONE = new ShadowError('shutting-down', 'it takes no more requests')
const FAILURE = new ShadowError('runtime-unreachable', 'Docker does not answer')

/** What comes while an instance is being parked, or unparked. */
const ARRIVALS: Record<string, (instance: Instance) => Promise<unknown> | undefined> = {
  request: instance => hold(instance),
  'another call to park it': instance => instance.parked.park(),
  'a call to unpark it': instance => instance.parked.drop(),
  'sleep by hand': instance => instance.sleep('asked'),
  'new release': instance => void instance.define(aTask({ revision: 2 })),
  'work on its volume': instance => instance.inTurn(async () => undefined),
  removal: instance => instance.close(GONE, 'removed', { sleep: true }),
  shutdown: instance => instance.close(GONE, 'shutdown', { sleep: false }),
}

/** The phase in the end, and whether it is parked if what is under way succeeds. */
const WHILE_PARKING: Record<string, readonly [Phase, boolean]> = {
  request: ['awake', false],
  'another call to park it': ['asleep', true],
  'a call to unpark it': ['asleep', false],
  'sleep by hand': ['asleep', true],
  'new release': ['asleep', false],
  'work on its volume': ['asleep', false],
  removal: ['asleep', false],
  shutdown: ['asleep', false],
}

const WHILE_UNPARKING: Record<string, readonly [Phase, boolean]> = {
  ...WHILE_PARKING,
  'sleep by hand': ['asleep', false],
}

/** Lets all come to rest, and looks whether what is told of the instance is so. */
async function atRest(here: InstanceEnvironment, instance: Instance, calls: readonly (Promise<unknown> | undefined)[]) {
  await Promise.allSettled(calls)
  await settled()
  const { parked } = instance.view()
  assert.deepEqual(here.volumes.wrongs, [])
  assert.equal(here.runtime.running().length, instance.phase === 'awake' ? 1 : 0)
  if (instance.phase === 'asleep') assert.equal(here.runtime.isParked(instance.id), parked === true)
  if (parked !== true && instance.phase === 'asleep') assert.equal(here.volumes.shared.size, 0)
  return [instance.phase, parked === true]
}

for (const [arrival, comes] of Object.entries(ARRIVALS)) {
  for (const succeeds of [true, false])
    describe(`an instance that is being parked, which ${succeeds ? 'succeeds' : 'fails'}`, () => {
      test(`comes to rest after: ${arrival}`, async () => {
        const here = new InstanceEnvironment()
        const instance = here.anInstance()
        const gate = here.runtime.gate('park')
        const parking = instance.parked.park()
        parking.catch(() => undefined)
        await settled()
        const arrived = comes(instance)
        arrived?.catch(() => undefined)
        await settled()
        if (succeeds) gate.open()
        else gate.fail(FAILURE)
        const [phase, isParked] = WHILE_PARKING[arrival] ?? assert.fail()
        assert.deepEqual(await atRest(here, instance, [parking, arrived]), [phase, isParked && succeeds])
      })
    })

  test(`an instance that is being unparked comes to rest after: ${arrival}`, async () => {
    const here = new InstanceEnvironment()
    const instance = here.anInstance()
    await instance.parked.park()
    const gate = here.runtime.gate('unpark')
    const dropping = instance.parked.drop()
    await settled()
    const arrived = comes(instance)
    arrived?.catch(() => undefined)
    await settled()
    gate.open()
    assert.deepEqual(await atRest(here, instance, [dropping, arrived]), WHILE_UNPARKING[arrival])
  })
}
