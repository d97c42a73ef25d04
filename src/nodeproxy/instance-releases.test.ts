import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { Held } from '../model/instance.ts'
import { duration, size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceEnvironment, release, releaseOf, settled, stagesOf } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import { Room } from './room.ts'

let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime } = environment)
})

/** The release that serves a request. */
const revisionOf = (held: Held): number | undefined => held.release

describe('where there is no memory for both', () => {
  test('requests are held while the newer release takes the place of the earlier one, and the log of the app says so', async () => {
    const task = (revision: number) =>
      releaseOf(revision, { limits: { ...releaseOf(1).limits, memory: size('600MiB') } })
    const instance = environment.anInstance(task(1))
    environment.room = undefined
    const room = new Room({
      overcommit: 1,
      volumeSlots: 1,
      idle: () =>
        instances[0]?.idleSince === undefined
          ? []
          : [
              {
                instance: instances[0].id,
                idleSince: 0,
                makeRoom: async () => assert.fail('it makes room for itself'),
              },
            ],
      log: noLog,
      totalBytes: 2 ** 30,
      availableBytes: async () => 2 ** 30,
    })
    environment.room = room
    const instances = [environment.anInstance(task(1))]
    const [app = instance] = instances
    const old = await hold(app)
    app.define(task(2))
    await settled()
    const coming = hold(app)
    await settled()
    assert.deepEqual([app.phase, environment.revisions], ['stopping', [1]])
    release(old)
    assert.equal(revisionOf(await coming), 2)
    assert.equal(room.reservedBytes, 600 * 2 ** 20)
    assert.ok(
      environment.journal.some(line =>
        /requests are held while release 2 is started: there is no room for both/.test(line),
      ),
    )
  })

  test('the memory of an earlier release is counted until it has ended', async () => {
    const room = new Room({
      overcommit: 1,
      volumeSlots: 1,
      idle: () => [],
      log: noLog,
      totalBytes: 2 ** 40,
      availableBytes: async () => 2 ** 40,
    })
    environment.room = room
    const instance = await environment.anAwake()
    const one = room.reservedBytes
    const old = await hold(instance)
    instance.define(releaseOf(2))
    await settled()
    assert.equal(room.reservedBytes, 2 * one)
    release(old)
    await settled()
    assert.equal(room.reservedBytes, one)
    await instance.sleep('asked')
    assert.equal(room.reservedBytes, 0)
  })
})

const AT = (revision: number): string => `2026-01-0${revision}T00:00:00.000Z`

for (const [how, stateful] of [
  ['that the newer container takes over as it is', (revision: number) => aTask({ revision, createdAt: AT(revision) })],
  ['that is let go of and taken anew, since it grows', (revision: number) => grown(revision)],
] as const)
  describe(`an app with a volume ${how}`, () => {
    test('never has two containers, and is started again at once', async () => {
      const instance = environment.anInstance(stateful(1))
      release(await hold(instance))
      const counts: number[] = []
      runtime.onStart = () => void counts.push(runtime.running().length)
      instance.define(stateful(2))
      await settled()
      assert.deepEqual([instance.phase, environment.revisions, Math.max(...counts)], ['awake', [2], 1])
      assert.deepEqual(stagesOf(instance), ['checking', 'holding', 'starting', 'ready', 'switched'])
      assert.deepEqual(environment.volumes.wrongs, [])
    })

    test('whose newer release does not get ready has the earlier one started again, for those who were held', async () => {
      const instance = environment.anInstance(stateful(1))
      const old = await hold(instance)
      const gate = runtime.gate('start')
      instance.define(stateful(2))
      await settled()
      const coming = hold(instance)
      release(old)
      await settled()
      gate.fail(new ShadowError('app-crashed', 'blog ended with exit code 1'))
      assert.equal(revisionOf(await coming), 1)
      assert.deepEqual([instance.view().rejected?.revision, stagesOf(instance).at(-1)], [2, 'rejected'])
    })

    test('is not touched as long as the newer release is pulled and checked', async () => {
      const instance = environment.anInstance(stateful(1))
      release(await hold(instance))
      const gate = runtime.gate('image')
      instance.define(stateful(2))
      await settled()
      assert.deepEqual([instance.phase, runtime.count('stop')], ['awake', 0])
      gate.open()
      await settled()
      assert.deepEqual(environment.revisions, [2])
    })

    test('that is put to sleep by hand during the switch stays asleep', async () => {
      const instance = environment.anInstance(stateful(1))
      const old = await hold(instance)
      instance.define(stateful(2))
      await settled()
      const asleep = instance.sleep('asked')
      release(old)
      await asleep
      await settled()
      assert.equal(instance.phase, 'asleep')
      environment.nothingLeft()
    })
  })

/** A definition that differs from the one before, and whose volume is larger. */
const grown = (revision: number): TaskDefinition => {
  const task = aTask({ revision, createdAt: AT(revision), env: { RELEASE: `${revision}` } })
  return { ...task, volume: task.volume && { ...task.volume, size: size(`${32 * revision}MiB`) } }
}

describe('a volume that the newer container takes over', () => {
  const stateful = (revision: number, changes: Partial<TaskDefinition> = {}): TaskDefinition =>
    aTask({ revision, createdAt: AT(revision), ...changes })

  /** Waits until the newer release is about to take the volume over: one use of the earlier one is left. */
  async function onTheWay(): Promise<{ instance: Instance; old: Held }> {
    const instance = environment.anInstance(stateful(1))
    const old = await hold(instance)
    instance.define(stateful(2))
    await settled()
    assert.deepEqual([instance.phase, runtime.containers.size, environment.revisions], ['stopping', 2, [1]])
    return { instance, old }
  }

  test('stays mounted, and the container waits for it', async () => {
    const { instance, old } = await onTheWay()
    const before = environment.volumes.calls.length
    release(old)
    await settled()
    assert.deepEqual([instance.phase, environment.revisions, runtime.containers.size], ['awake', [2], 1])
    assert.deepEqual(environment.volumes.calls.slice(before), [])
    await instance.sleep('asked')
    environment.nothingLeft()
  })

  test('is unmounted before the earlier release is started again on it', async () => {
    const { instance, old } = await onTheWay()
    const gate = runtime.gate('start')
    const coming = hold(instance)
    release(old)
    await settled()
    gate.fail(new ShadowError('app-crashed', 'blog ended with exit code 1'))
    assert.equal(revisionOf(await coming), 1)
    assert.deepEqual([environment.revisions, runtime.containers.size, environment.volumes.wrongs], [[1], 1, []])
  })

  for (const [what, end] of [
    ['the app is put to sleep', (instance: Instance) => instance.sleep('asked')],
    [
      'the app is removed',
      (instance: Instance) =>
        instance.close(new ShadowError('app-not-found', 'it was removed'), 'removed', { sleep: true }),
    ],
  ] as const)
    test(`is let go of if ${what} meanwhile`, async () => {
      const { instance, old } = await onTheWay()
      const ended = end(instance)
      release(old)
      await ended
      await settled()
      environment.nothingLeft()
    })

  test('is taken over by a still newer release that comes meanwhile', async () => {
    const { instance, old } = await onTheWay()
    instance.define(stateful(3))
    release(old)
    await settled()
    await settled()
    assert.deepEqual([instance.view().revision, environment.revisions, runtime.containers.size], [3, [3], 1])
    assert.deepEqual(environment.volumes.wrongs, [])
  })

  test('is unwound if the earlier container cannot be stopped', async () => {
    const { instance, old } = await onTheWay()
    const gate = runtime.gate('stop')
    release(old)
    await settled()
    gate.fail(new Error('Docker hangs'))
    await settled()
    assert.equal(environment.revisions.length, 1)
    assert.deepEqual(environment.volumes.wrongs, [])
    release(await hold(instance))
    assert.deepEqual([environment.revisions, runtime.containers.size], [[2], 1])
  })

  test('is not taken over by one that needs more memory', async () => {
    const instance = environment.anInstance(stateful(1))
    release(await hold(instance))
    instance.define(stateful(2, { limits: { ...stateful(2).limits, memory: size('128MiB') } }))
    await settled()
    assert.deepEqual([environment.revisions, environment.volumes.calls.includes('unmount blog')], [[2], true])
  })
})

test('a release that a request names serves it while it runs, and no other does', async () => {
  const instance = await environment.anAwake()
  const old = await hold(instance)
  instance.define(releaseOf(2))
  await settled()
  const named = await hold(instance, { release: { revision: 1, isStrict: true } })
  assert.equal(revisionOf(named), 1)
  const soft = await hold(instance, { release: { revision: 1, isStrict: false } })
  assert.equal(revisionOf(soft), 2) // its sessions do not stay
  release(soft)
  release(old)
  release(named)
  await settled()
  await assert.rejects(hold(instance, { release: { revision: 1, isStrict: true } }), error =>
    isFailure(error, 'release-ended'),
  )
  await instance.sleep('asked')
  await assert.rejects(hold(instance, { release: { revision: 1, isStrict: true } }), { code: 'release-ended' })
  assert.equal(instance.phase, 'asleep')
  release(await hold(instance, { release: { revision: 2, isStrict: true } }))
})

describe('an app whose sessions stay', () => {
  const staying = (revision: number, changes: Partial<TaskDefinition> = {}): TaskDefinition =>
    releaseOf(revision, { deploy: { sessions: 'stay' }, ...changes })
  const mine = (revision: number) => ({ release: { revision, isStrict: false } })

  test('serves them on by the release that they began with, until nobody has used it for the idle time', async () => {
    const sleep = { ...staying(1).sleep, idleAfter: duration('10s') }
    const instance = environment.anInstance(staying(1, { sleep }))
    release(await hold(instance))
    instance.define(staying(2, { sleep }))
    await settled()
    for (let at = 0; at < 5; at++) {
      await clock.advance(9_000)
      const [old, fresh] = [await hold(instance, mine(1)), await hold(instance)]
      assert.deepEqual([revisionOf(old), revisionOf(fresh)], [1, 2])
      release(old)
      release(fresh)
    }
    await clock.advance(9_000)
    release(await hold(instance))
    await clock.advance(1_000)
    await settled()
    assert.deepEqual(environment.revisions, [2])
    assert.equal(revisionOf(await hold(instance, mine(1))), 2)
  })

  test('keeps an earlier release for as long as a WebSocket of it is open', async () => {
    const instance = environment.anInstance(staying(1))
    const left: string[] = []
    const socket = await hold(instance, { kind: 'websocket', goAway: () => void left.push('gone') })
    instance.define(staying(2))
    await settled()
    await clock.advance(86_400_000)
    assert.deepEqual([environment.revisions, left], [[1, 2], []])
    release(socket)
    await clock.advance(300_000)
    await settled()
    assert.equal(instance.phase, 'asleep')
    environment.nothingLeft()
  })

  test('has three earlier releases at most: the oldest one drains for the next', async () => {
    const instance = environment.anInstance(staying(1))
    const sockets: Held[] = []
    for (let revision = 2; revision <= 5; revision++) {
      sockets.push(await hold(instance, { kind: 'websocket', goAway: () => release(sockets[0] as Held) }))
      instance.define(staying(revision))
      await settled()
    }
    assert.deepEqual(environment.revisions, [1, 2, 3, 4])
    await clock.advance(30_000)
    await settled()
    assert.deepEqual(environment.revisions, [2, 3, 4, 5])
  })
})
