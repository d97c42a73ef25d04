import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import type { Known } from './revisions.ts'

let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime } = environment)
})

afterEach(() => {
  assert.deepEqual(environment.volumes.wrongs, [])
})

describe('a new revision', () => {
  test('those in flight finish on the old one, those who come wait for the new one', async () => {
    const instance = environment.anInstance()
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

  test('those in flight have 30 seconds, and then the new one is started, whether anybody waits or not', async () => {
    const instance = environment.anInstance()
    const old = await hold(instance)
    instance.define(aTask({ revision: 2 }))
    await clock.advance(29_999)
    assert.equal(runtime.count('stop'), 0)
    await clock.advance(1)
    assert.deepEqual([instance.phase, runtime.running()[0]?.revision], ['awake', 2])
    assert.equal(instance.view().stoppedBy, 'updated')
    release(old)
  })

  test('one that comes during a wake ends that wake, and those who wait get the new one', async () => {
    environment.slowReady()
    const instance = environment.anInstance()
    const waiting = hold(instance)
    await settled()
    environment.becomeReady = async () => undefined
    instance.define(aTask({ revision: 2 }))
    await waiting
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('one that comes in the moment in which the old one is ready replaces it', async () => {
    const instance = environment.anInstance(aTask(), { onReady: () => instance.define(aTask({ revision: 2 })) })
    release(await hold(instance))
    await settled()
    release(await hold(instance))
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('the same revision again changes nothing', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    instance.define(aTask())
    await settled()
    assert.equal(instance.phase, 'awake')
  })
})

describe('a new revision that cannot be run', () => {
  const kept = new Map<string, Known>()
  const revisions = {
    of: (app: string) => kept.get(app) ?? {},
    keep: (app: string, known: Known) => void kept.set(app, known),
    forget: () => undefined,
  }
  const bad = new ShadowError('command-not-found', 'the command of blog cannot be run')

  /** Uses the app once; its first start fails. */
  async function failingOnce(instance: Instance, problem: ShadowError): Promise<void> {
    const gate = runtime.gate('start')
    const holding = hold(instance)
    holding.catch(() => undefined) // awaited below
    await settled()
    gate.fail(problem)
    release(await holding)
  }

  beforeEach(() => kept.clear())

  test('as is known before the old one is touched, leaves that awake, and is told of', async () => {
    const instance = environment.anInstance(aTask(), { revisions })
    const held = await hold(instance)
    const gate = runtime.gate('check')
    instance.define(aTask({ revision: 2 }))
    await settled()
    assert.equal(instance.phase, 'awake')
    gate.fail(bad)
    await settled()
    assert.equal(instance.phase, 'awake')
    release(await hold(instance))
    release(held)
    const { revision, rejected } = instance.view()
    assert.deepEqual([revision, rejected?.revision, rejected?.problem.code], [1, 2, 'command-not-found'])
    assert.equal(runtime.count('stop'), 0)
  })

  test('as turns out when it is started, gives way to the last that was ready, within the same wake', async () => {
    const instance = environment.anInstance(aTask(), { revisions })
    release(await hold(instance))
    await instance.sleep('asked')
    instance.define(aTask({ revision: 2 }))
    await failingOnce(instance, bad)
    assert.deepEqual([instance.view().revision, instance.view().rejected?.revision], [1, 2])
    assert.equal(runtime.running()[0]?.revision, 1)
  })

  test('is not tried again after a restart of the node, and by a person who wakes it', async () => {
    const before = environment.anInstance(aTask(), { revisions })
    release(await hold(before))
    await before.sleep('asked')
    before.define(aTask({ revision: 2 }))
    await failingOnce(before, bad)
    await before.sleep('asked')

    const instance = environment.anInstance(aTask({ revision: 2 }), { revisions })
    const starts = runtime.count('start')
    release(await hold(instance))
    assert.equal(runtime.count('start') - starts, 1)
    assert.equal(runtime.running()[0]?.revision, 1)
    await instance.wake({ says: 'a person', cause: 'person' }, never)
    assert.deepEqual([instance.view().revision, instance.view().rejected], [2, null])
  })

  test('a later revision that can be run is taken', async () => {
    const instance = environment.anInstance(aTask(), { revisions })
    release(await hold(instance))
    const gate = runtime.gate('check')
    instance.define(aTask({ revision: 2 }))
    gate.fail(bad)
    await settled()
    instance.define(aTask({ revision: 3 }))
    await settled()
    release(await hold(instance))
    assert.deepEqual([instance.view().revision, instance.view().rejected], [3, null])
  })

  test('where none was ever ready it fails as it did', async () => {
    const instance = environment.anInstance(aTask(), { revisions })
    await assert.rejects(failingOnce(instance, bad), { code: 'command-not-found' })
    await settled()
    assert.equal(instance.phase, 'crashed')
  })

  test('where the machine is at fault, nothing is said of the revision', async () => {
    const instance = environment.anInstance(aTask(), { revisions })
    release(await hold(instance))
    await instance.sleep('asked')
    instance.define(aTask({ revision: 2 }))
    const away = new ShadowError('runtime-unreachable', 'Docker went away')
    await assert.rejects(failingOnce(instance, away), { code: 'runtime-unreachable' })
    assert.equal(instance.view().rejected, null)
  })
})

test('a revision runs the image that it ran first, whatever its tag names since', async () => {
  const kept = new Map<string, Known>()
  const revisions = {
    of: (app: string) => kept.get(app) ?? {},
    keep: (app: string, known: Known) => void kept.set(app, known),
    forget: () => undefined,
  }
  const task = aTask()
  runtime.imageIds.set(task.image, 'sha256:first')
  const instance = environment.anInstance(task, { revisions })
  release(await hold(instance))
  await instance.sleep('asked')
  runtime.imageIds.set(task.image, 'sha256:second')
  const pins: (string | undefined)[] = []
  const { create } = runtime
  runtime.create = (id, made, ...more) => {
    pins.push((made as TaskDefinition).pinned?.id)
    return create.call(runtime, id, made, ...more)
  }
  release(await hold(instance))
  await instance.sleep('asked')
  release(await hold(environment.anInstance(task, { revisions }))) // after a restart of the node
  assert.deepEqual(pins, ['sha256:first', 'sha256:first'])
})

describe('a volume that is to grow beyond what its disk has', () => {
  const grown = aTask({ revision: 2, volume: { id: volumeId('blog'), size: size('64TiB'), path: '/data' } })

  for (const code of ['disk-full', 'cloud-failed'] as const)
    test(`serves on as large as it is, and the log of the app says why: ${code}`, async () => {
      const instance = environment.anInstance()
      release(await hold(instance))
      await instance.sleep('asked')
      environment.volumes.failures.set('grow', new ShadowError(code, 'it does not fit on a disk of 40GiB'))
      instance.define(grown)
      release(await hold(instance))
      assert.equal(instance.phase, 'awake')
      assert.ok(
        environment.journal.includes(
          'volume not grown to 64TiB, and used as it is: it does not fit on a disk of 40GiB',
        ),
      )
    })

  test('a volume that is broken is not served', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    await instance.sleep('asked')
    environment.volumes.failures.set('grow', new ShadowError('volume-broken', 'bad'))
    instance.define(grown)
    await assert.rejects(hold(instance), /bad/)
  })
})
