import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { Held } from '../model/instance.ts'
import { duration } from '../model/quantities.ts'
import type { HandClock } from '../testing/clock.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import {
  hold,
  InstanceEnvironment,
  never,
  release,
  releaseOf,
  settled,
  stagesOf,
} from '../testing/instance-environment.ts'

let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime } = environment)
})

const notReady = new ShadowError('app-not-ready', 'blog gave no answer; its last lines:\nno such table')
/** The container that was made first ends by itself. */
async function earlierDies(): Promise<void> {
  const [old] = runtime.running()
  if (old !== undefined) runtime.end(old, { exitCode: 1, outOfMemory: false })
  await settled()
}

/** The release that serves a request. */
const revisionOf = (held: Held): number | undefined => held.release

describe('a newer release of an app without a volume', () => {
  test('is started beside the earlier one, which serves until the newer one is ready', async () => {
    const { instance, ready } = await environment.aSwitch()
    assert.deepEqual([instance.phase, environment.revisions], ['awake', [1, 2]])
    const during = await hold(instance)
    assert.equal(revisionOf(during), 1)
    release(during)
    ready.resolve()
    await settled()
    const after = await hold(instance)
    assert.equal(revisionOf(after), 2)
    release(after)
    assert.deepEqual([instance.phase, instance.view().revision, environment.revisions], ['awake', 2, [2]])
    assert.deepEqual(stagesOf(instance), ['checking', 'starting', 'ready', 'switched'])
  })

  test('gets all new requests, while those in flight finish on the earlier one', async () => {
    const instance = await environment.anAwake()
    const old = await hold(instance)
    instance.define(releaseOf(2))
    await settled()
    const coming = await hold(instance)
    assert.deepEqual([revisionOf(old), revisionOf(coming)], [1, 2])
    await clock.advance(29_000)
    assert.deepEqual(environment.revisions, [1, 2])
    assert.deepEqual(
      instance.view().formers?.map(({ revision, holds }) => [revision, holds]),
      [[1, 1]],
    )
    release(old)
    await settled()
    assert.deepEqual([environment.revisions, instance.view().formers], [[2], undefined])
    release(coming)
  })

  test('a request that outlasts the drain limit of the app is cut, and the log of the app says so', async () => {
    const instance = await environment.anAwake({ sleep: { ...releaseOf(1).sleep, drain: duration('5m') } })
    const left: string[] = []
    const old = await hold(instance, { kind: 'websocket', goAway: () => void left.push('gone') })
    instance.define(releaseOf(2))
    await settled()
    await clock.advance(299_999)
    assert.deepEqual([environment.revisions, left], [[1, 2], []])
    await clock.advance(1)
    await settled()
    assert.deepEqual([environment.revisions, left], [[2], ['gone']])
    assert.ok(environment.journal.some(line => /release 1 has ended; 1 use was cut after 5m/.test(line)))
    release(old)
  })

  test('the requests of the earlier one keep the instance awake', async () => {
    const idleAfter = duration('10s')
    const sleep = { ...releaseOf(1).sleep, idleAfter, drain: duration('1h') }
    const instance = await environment.anAwake({ sleep })
    const old = await hold(instance)
    instance.define(releaseOf(2, { sleep }))
    await settled()
    await clock.advance(60_000)
    assert.deepEqual([instance.phase, environment.revisions], ['awake', [1, 2]])
    release(old)
    await settled()
    await clock.advance(9_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
    environment.nothingLeft()
  })

  test('is not started while the app sleeps', async () => {
    const instance = await environment.anAwake()
    await instance.sleep('asked')
    instance.define(releaseOf(2))
    await settled()
    assert.deepEqual([instance.phase, runtime.count('create')], ['asleep', 1])
    release(await hold(instance))
    assert.deepEqual(environment.revisions, [2])
  })

  test('several in a row each serve in their turn', async () => {
    const instance = await environment.anAwake()
    for (let revision = 2; revision <= 6; revision++) {
      instance.define(releaseOf(revision))
      await settled()
      const held = await hold(instance)
      assert.equal(revisionOf(held), revision)
      release(held)
      await settled()
    }
    assert.deepEqual(environment.revisions, [6])
  })

  test('waits while three earlier ones have not ended', async () => {
    const instance = await environment.anAwake()
    const olds: Held[] = []
    for (let revision = 2; revision <= 5; revision++) {
      olds.push(await hold(instance))
      instance.define(releaseOf(revision))
      await settled()
    }
    assert.deepEqual(environment.revisions, [1, 2, 3, 4])
    release(olds[0] as Held)
    await settled()
    assert.deepEqual([environment.revisions, instance.view().revision], [[2, 3, 4, 5], 5])
    for (const held of olds.slice(1)) release(held)
    await settled()
    assert.deepEqual(environment.revisions, [5])
  })
})

describe('a newer release that does not get ready', () => {
  test('is removed, the earlier one never stopped serving, and the problem has the last lines of the app', async () => {
    const instance = await environment.anAwake()
    const held = await hold(instance)
    const ready = environment.slowReady()
    instance.define(releaseOf(2))
    await settled()
    ready.reject(notReady)
    await settled()
    const { revision, rejected, rollout } = instance.view()
    assert.deepEqual([revision, environment.revisions, runtime.containers.size], [1, [1], 1])
    assert.equal(rejected?.revision, 2)
    assert.match(rejected?.problem.detail ?? '', /no such table/)
    assert.equal(rollout?.stages.at(-1)?.stage, 'rejected')
    assert.equal(held.run, (await hold(instance)).run)
  })

  test('as is known before it is started, leaves the earlier one alone', async () => {
    const instance = await environment.anAwake()
    const gate = runtime.gate('check')
    instance.define(releaseOf(2))
    await settled()
    gate.fail(new ShadowError('command-not-found', 'no such command'))
    await settled()
    assert.deepEqual([environment.revisions, instance.view().rejected?.revision, runtime.count('create')], [[1], 2, 1])
  })

  test('crashes at its start, and a later one is taken', async () => {
    const instance = await environment.anAwake()
    const gate = runtime.gate('start')
    instance.define(releaseOf(2))
    await settled()
    gate.fail(new ShadowError('app-crashed', 'blog ended with exit code 1'))
    await settled()
    assert.deepEqual([environment.revisions, instance.view().rejected?.revision], [[1], 2])
    instance.define(releaseOf(3))
    await settled()
    assert.deepEqual([environment.revisions, instance.view().rejected], [[3], null])
  })

  test('since the machine is at fault, is tried again after a while, and not told as rejected', async () => {
    const instance = await environment.anAwake()
    const gate = runtime.gate('start')
    instance.define(releaseOf(2))
    await settled()
    gate.fail(new ShadowError('runtime-unreachable', 'Docker went away'))
    await settled()
    assert.deepEqual(
      [environment.revisions, instance.view().rejected, stagesOf(instance).at(-1)],
      [[1], null, 'put-off'],
    )
    await clock.advance(10_000)
    await settled()
    assert.deepEqual([environment.revisions, instance.view().revision], [[2], 2])
  })

  test('is tried again when a person wakes the app, beside the one that serves', async () => {
    const instance = await environment.anAwake()
    const gate = runtime.gate('start')
    instance.define(releaseOf(2))
    await settled()
    gate.fail(new ShadowError('app-crashed', 'blog ended with exit code 1'))
    await settled()
    const held = await hold(instance)
    await instance.wake({ says: 'a person', cause: 'person' }, never)
    assert.deepEqual([environment.revisions, instance.view().rejected], [[1, 2], null])
    release(held)
  })
})

describe('while a newer release is started', () => {
  test('a still newer one takes its place, and nothing is left of the first', async () => {
    const instance = await environment.anAwake()
    environment.slowReady()
    instance.define(releaseOf(2))
    await settled()
    environment.becomeReady = async () => undefined
    instance.define(releaseOf(3))
    await settled()
    assert.deepEqual([environment.revisions, runtime.containers.size, instance.view().revision], [[3], 1, 3])
    assert.equal(instance.view().rejected, null)
  })

  test('a still newer one that comes in the moment in which it is ready replaces it', async () => {
    const instance = environment.anInstance(releaseOf(1), {
      onReady: () => instance.define(releaseOf(instance.task.revision + (instance.task.revision < 4 ? 1 : 0))),
    })
    release(await hold(instance))
    await settled()
    await settled()
    assert.deepEqual([environment.revisions, runtime.containers.size], [[4], 1])
  })

  test('the earlier one dies: those who come wait for the newer one, and no third container is made', async () => {
    const { instance, ready } = await environment.aSwitch()
    await earlierDies()
    const coming = hold(instance)
    await settled()
    assert.equal(runtime.count('create'), 2)
    ready.resolve()
    assert.equal(revisionOf(await coming), 2)
    assert.deepEqual([environment.revisions, runtime.containers.size, runtime.count('create')], [[2], 1, 2])
  })

  test('the earlier one dies, and nobody comes: the newer one serves all the same', async () => {
    const { instance, ready } = await environment.aSwitch()
    await earlierDies()
    assert.equal(instance.phase, 'crashed')
    ready.resolve()
    await settled()
    assert.deepEqual([instance.phase, environment.revisions], ['awake', [2]])
  })

  test('the earlier one dies and the newer one fails: those who wait get the earlier one, started again', async () => {
    const { instance, ready } = await environment.aSwitch()
    await earlierDies()
    const coming = hold(instance)
    await settled()
    environment.becomeReady = async () => undefined
    ready.reject(notReady)
    assert.equal(revisionOf(await coming), 1)
    assert.deepEqual([environment.revisions, instance.view().rejected?.revision], [[1], 2])
  })

  test('it dies itself between its readiness and its first request: the app is woken again', async () => {
    const instance = await environment.anAwake()
    instance.define(releaseOf(2))
    await settled()
    const [made] = runtime.running()
    if (made !== undefined) runtime.end(made, { exitCode: 1, outOfMemory: false })
    await settled()
    const held = await hold(instance)
    assert.equal(revisionOf(held), 2)
    assert.equal(runtime.containers.size, 1)
  })

  for (const why of ['asked', 'idle'] as const)
    test(`the app is put to sleep (${why}): both end`, async () => {
      const instance = await environment.anAwake({ sleep: { ...releaseOf(1).sleep, idleAfter: duration('10s') } })
      environment.slowReady()
      instance.define(releaseOf(2))
      await settled()
      if (why === 'asked') await instance.sleep('asked')
      else await clock.advance(10_000)
      await settled()
      assert.equal(instance.phase, 'asleep')
      environment.nothingLeft()
      environment.becomeReady = async () => undefined
      release(await hold(instance))
      assert.deepEqual(environment.revisions, [2])
    })

  test('the app is removed: nothing is left, of earlier releases neither', async () => {
    const instance = await environment.anAwake()
    const old = await hold(instance)
    instance.define(releaseOf(2))
    await settled()
    environment.slowReady()
    instance.define(releaseOf(3))
    await settled()
    assert.deepEqual(environment.revisions, [1, 2, 3])
    const gone = new ShadowError('app-not-found', 'blog was removed')
    const closed = instance.close(gone, 'removed', { sleep: true })
    await clock.advance(10_000)
    await closed
    environment.nothingLeft()
    release(old)
  })

  test('the node ends, and leaves what serves alone: what is half-way is undone', async () => {
    const instance = await environment.anAwake()
    environment.slowReady()
    instance.define(releaseOf(2))
    await settled()
    await instance.close(new ShadowError('shutting-down', 'this node is stopping'), 'shutdown', { sleep: false })
    assert.deepEqual([environment.revisions, runtime.containers.size], [[1], 1])
  })

  test('an inventory of the node takes neither for a stray', async () => {
    const instance = await environment.anAwake()
    const old = await hold(instance)
    const ready = environment.slowReady()
    instance.define(releaseOf(2))
    await settled()
    await clock.advance(1)
    await instance.reconcile(clock.now(), runtime.running(), () => assert.fail('there is no stray'))
    ready.resolve()
    await settled()
    await clock.advance(1)
    await instance.reconcile(clock.now(), runtime.running(), besides => {
      assert.equal(besides.size, 2)
      return undefined
    })
    assert.deepEqual(environment.revisions, [1, 2])
    release(old)
  })
})

describe('an earlier release that drains', () => {
  test('and dies has told so: its requests learn why, and the newer one serves on', async () => {
    const instance = await environment.anAwake()
    const old = await hold(instance)
    instance.define(releaseOf(2))
    await settled()
    const [first] = runtime.running()
    if (first !== undefined) runtime.end(first, { exitCode: 137, outOfMemory: true })
    await assert.rejects(async () => old.alive?.(), { code: 'app-crashed' })
    await settled()
    assert.deepEqual([instance.phase, environment.revisions, runtime.containers.size], ['awake', [2], 1])
    release(old)
  })

  test('and cannot be removed, is tried again at each inventory', async () => {
    const instance = await environment.anAwake()
    const gate = runtime.gate('remove')
    instance.define(releaseOf(2))
    await settled()
    gate.fail(new Error('device busy'))
    await settled()
    assert.equal(instance.view().formers?.length, 1)
    await clock.advance(1)
    await instance.reconcile(clock.now(), [...runtime.containers.values()], () => undefined)
    await settled()
    assert.deepEqual([instance.view().formers, runtime.containers.size], [undefined, 1])
  })

  test('ends within the time of a sleep that is asked for meanwhile', async () => {
    const instance = await environment.anAwake()
    const old = await hold(instance)
    instance.define(releaseOf(2))
    await settled()
    const asleep = instance.sleep('asked')
    await clock.advance(10_000)
    await asleep
    environment.nothingLeft()
    release(old)
  })
})
