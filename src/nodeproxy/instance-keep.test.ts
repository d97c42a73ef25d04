import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { Held } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { duration, size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceEnvironment, release, releaseOf, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import { Room } from './room.ts'

const DAY = 86_400_000
let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime

const keeping = (changes: Partial<TaskDefinition['sleep']> = {}): TaskDefinition =>
  aTask({ sleep: { ...aTask().sleep, keep: 'frozen', ...changes } })

/** An instance that was used, and is not any more since just now. */
async function used(task: TaskDefinition): Promise<Instance> {
  const instance = environment.anInstance(task)
  release(await hold(instance))
  return instance
}

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime } = environment)
})

afterEach(() => {
  assert.deepEqual(environment.volumes.wrongs, [])
})

describe('an app that is to stay frozen', () => {
  test('is frozen at its idle time, and does not sleep for want of use', async () => {
    const instance = await used(keeping())
    const { freezesAt, sleepsAt } = instance.view()
    assert.deepEqual([freezesAt, sleepsAt], [new Date(clock.now() + 300_000).toISOString(), null])
    await clock.advance(300_000)
    assert.equal(instance.phase, 'frozen')
    await clock.advance(DAY)
    assert.deepEqual([instance.phase, instance.view().sleepsAt, runtime.count('start')], ['frozen', null, 1])
  })

  test('is frozen sooner if it says so, and never suspended', async () => {
    const instance = await used(keeping({ freezeAfter: duration('1m'), suspendAfter: duration('2m') }))
    await clock.advance(60_000)
    assert.equal(instance.phase, 'frozen')
    await clock.advance(DAY)
    assert.deepEqual([instance.phase, runtime.count('swapOut')], ['frozen', 0])
  })

  test('gives way when another app needs its memory, and when a person puts it to sleep', async () => {
    for (const why of ['room', 'asked'] as const) {
      const instance = await used(keeping())
      await clock.advance(300_000)
      assert.equal(typeof instance.idleSince, 'number')
      await instance.sleep(why)
      assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', why])
    }
  })

  test('sleeps as soon as it asks for it itself', async () => {
    const instance = await used(keeping())
    instance.sleepSoon()
    await clock.advance(0)
    assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'self'])
  })

  test('sleeps after all where it cannot be frozen', async () => {
    const gate = runtime.gate('freeze')
    const instance = await used(keeping())
    await clock.advance(300_000)
    gate.fail(new ShadowError('app-stuck', 'a process waits for a disk'))
    await settled()
    assert.equal(instance.phase, 'awake')
    await clock.advance(60_000)
    assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'idle'])
    release(await hold(instance))
    await clock.advance(300_000)
    assert.equal(instance.phase, 'frozen', 'its next container can be frozen')
  })

  test('sleeps after all where others run on with it', async () => {
    const user = await used(releaseOf(1, { sleep: keeping().sleep, uses: [appName('db')] }))
    await clock.advance(300_000)
    assert.deepEqual([user.phase, runtime.count('freeze')], ['asleep', 0])
  })

  test('is so by its node where it does not say; what it says counts', async () => {
    environment.keep = 'frozen'
    const usual = await used(aTask())
    await clock.advance(300_000)
    assert.equal(usual.phase, 'frozen')
    await usual.sleep('asked')
    const own = await used(keeping({ keep: 'asleep' }))
    await clock.advance(300_000)
    assert.equal(own.phase, 'asleep')
  })
})

describe('an app that is to stay suspended', () => {
  test('is suspended at its idle time, and stays so', async () => {
    const instance = await used(keeping({ keep: 'suspended', freezeAfter: duration('1m') }))
    await clock.advance(60_000)
    assert.equal(instance.phase, 'frozen')
    await clock.advance(240_000)
    assert.equal(instance.phase, 'suspended')
    await clock.advance(DAY)
    assert.equal(instance.phase, 'suspended')
  })

  test('stays frozen where there is no swap', async () => {
    runtime.hasSwap = false
    const instance = await used(keeping({ keep: 'suspended' }))
    await clock.advance(DAY)
    assert.deepEqual([instance.phase, runtime.count('swapOut')], ['frozen', 1])
  })
})

describe('where the machine is short of memory', () => {
  test('an unused app is frozen and suspended in one step, and shadow why tells', async () => {
    const instance = await used(aTask())
    const { idleSince = 0 } = instance.yields ?? {}
    assert.equal(await instance.stepDown('suspended', idleSince), true)
    assert.deepEqual([instance.phase, instance.view().frozenBy], ['suspended', 'memory'])
    assert.match(environment.journal.join('\n'), /suspended: memory/)
    release(await hold(instance))
    assert.deepEqual([instance.phase, instance.view().frozenBy, runtime.count('start')], ['awake', undefined, 1])
  })

  test('a frozen app that is to stay so sleeps, since it must', async () => {
    const instance = await used(keeping())
    await clock.advance(300_000)
    const { idleSince = 0, isKept } = instance.yields ?? {}
    assert.equal(await instance.stepDown('asleep', idleSince), true)
    assert.deepEqual([isKept, instance.phase, instance.view().stoppedBy], [true, 'asleep', 'memory'])
    environment.nothingLeft()
  })

  test('an app in use gives nothing; one that was used since the look is left alone', async () => {
    const instance = environment.anInstance(aTask())
    const held = await hold(instance)
    assert.equal(instance.yields, undefined)
    assert.equal(await instance.stepDown('asleep', clock.now()), false)
    release(held)
    const { idleSince = 0 } = instance.yields ?? {}
    await clock.advance(1_000)
    release(await hold(instance))
    for (const to of ['asleep', 'suspended'] as const) assert.equal(await instance.stepDown(to, idleSince), false)
    assert.equal(instance.phase, 'awake')
  })

  test('an app in a dry run stays awake, and it is recorded when it would have slept', async () => {
    const instance = await used(aTask({ sleep: { ...aTask().sleep, dryRun: true } }))
    const { idleSince = 0, canSuspend } = instance.yields ?? {}
    assert.equal(await instance.stepDown('asleep', idleSince), false)
    assert.deepEqual([canSuspend, instance.phase, instance.view().drySleeps?.why], [false, 'awake', 'memory'])
  })
})

describe('the memory of a suspended app', () => {
  const GIB = 2 ** 30
  let availableBytes: number
  let room: Room
  let other: Instance | undefined
  let beforeItLeaves: () => void

  beforeEach(() => {
    availableBytes = 10 * GIB
    other = undefined
    beforeItLeaves = () => undefined
    room = new Room({
      overcommit: 1,
      volumeSlots: 10,
      idle: () =>
        other?.idleSince === undefined
          ? []
          : [
              {
                instance: other.id,
                idleSince: other.idleSince,
                makeRoom: async () => {
                  beforeItLeaves()
                  await other?.sleep('room')
                },
              },
            ],
      log: noLog,
      totalBytes: 10 * GIB,
      availableBytes: async () => availableBytes,
    })
    environment.room = room
  })

  const ofSize = (name: string, memory: string) =>
    releaseOf(1, { app: appName(name), limits: { ...aTask().limits, memory: size(memory) } })

  test('is not counted, and is again from the moment at which it goes on', async () => {
    const instance = await used(ofSize('a', '6GiB'))
    assert.equal(room.reservedBytes, 6 * GIB)
    await instance.freeze('suspended')
    assert.equal(instance.phase, 'suspended')
    assert.ok(room.reservedBytes < GIB)
    release(await hold(instance))
    assert.equal(room.reservedBytes, 6 * GIB)
    await instance.sleep('asked')
    assert.equal(room.reservedBytes, 0)
  })

  test('is made room for before it goes on', async () => {
    const instance = await used(ofSize('a', '6GiB'))
    await instance.freeze('suspended')
    other = await used(ofSize('b', '6GiB'))
    release(await hold(instance))
    assert.deepEqual([instance.phase, other.phase, other.view().stoppedBy], ['awake', 'asleep', 'room'])
  })

  test('a request that comes as the app is to make room itself does not wait for itself', async () => {
    runtime.memoryBytes = 2 * GIB
    const instance = await used(ofSize('a', '6GiB'))
    await instance.freeze('suspended')
    other = instance
    const held: Promise<Held>[] = []
    beforeItLeaves = () => void held.push(hold(instance))
    room.adopt(instanceId(appName('c')), ofSize('c', '4GiB'))
    await assert.rejects(hold(environment.anInstance(ofSize('b', '5GiB'))), error => isFailure(error, 'no-memory'))
    assert.equal(held.length, 1)
    release(await (held[0] as Promise<Held>))
    assert.equal(instance.phase, 'awake')
  })

  test('is refused with the reason where others in use have it, and the app stays suspended', async () => {
    const instance = await used(ofSize('a', '6GiB'))
    await instance.freeze('suspended')
    const before = room.reservedBytes
    const b = environment.anInstance(ofSize('b', '6GiB'))
    const held = await hold(b)
    await assert.rejects(hold(instance), error => isFailure(error, 'no-memory'))
    assert.deepEqual([instance.phase, room.reservedBytes], ['suspended', before + 6 * GIB])
    release(held)
    await b.sleep('asked')
    release(await hold(instance))
    assert.equal(instance.phase, 'awake')
  })
})
