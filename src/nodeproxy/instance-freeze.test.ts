import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { appName, volumeId } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceEnvironment, release, releaseOf, settled } from '../testing/instance-environment.ts'
import type { Instance } from './instance.ts'
import { InstanceCounters } from './instance-counters.ts'

let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime

const SLEEP = aTask().sleep
const freezing = (changes: Partial<TaskDefinition['sleep']> = {}): TaskDefinition =>
  aTask({ sleep: { ...SLEEP, freezeAfter: duration('1m'), ...changes } })

/** An instance that was used, and is frozen since just now. */
async function frozen(task = freezing()): Promise<Instance> {
  const instance = environment.anInstance(task)
  release(await hold(instance))
  await clock.advance(60_000)
  assert.equal(instance.phase, 'frozen')
  return instance
}

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime } = environment)
})

afterEach(() => {
  assert.deepEqual(environment.volumes.wrongs, [])
})

describe('freezing', () => {
  test('it is frozen after its time without use, to the millisecond, and sleeps after its idle time', async () => {
    const instance = environment.anInstance(freezing())
    release(await hold(instance))
    const { sleepsAt, freezesAt } = instance.view()
    assert.deepEqual(
      [freezesAt, sleepsAt],
      [new Date(clock.now() + 60_000).toISOString(), new Date(clock.now() + 300_000).toISOString()],
    )
    await clock.advance(59_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.deepEqual([instance.phase, runtime.frozen.size], ['frozen', 1])
    assert.deepEqual([instance.view().sleepsAt, instance.view().freezesAt], [sleepsAt, undefined])
    await clock.advance(239_999)
    assert.equal(instance.phase, 'frozen')
    await clock.advance(1)
    assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'idle'])
    environment.nothingLeft()
  })

  test('the node says when, where the app does not; what the app says counts', async () => {
    environment.freezeAfter = duration('30s')
    const usual = environment.anInstance(aTask())
    const own = environment.anInstance(freezing({ freezeAfter: 'never' }))
    release(await hold(usual))
    release(await hold(own))
    await clock.advance(30_000)
    assert.deepEqual([usual.phase, own.phase], ['frozen', 'awake'])
  })

  test('an app that never sleeps stays frozen', async () => {
    const instance = await frozen(freezing({ idleAfter: 'never' }))
    await clock.advance(86_400_000)
    assert.deepEqual([instance.phase, clock.waiting, instance.view().sleepsAt], ['frozen', 0, null])
  })

  test('an app that sleeps sooner is not frozen', async () => {
    const instance = environment.anInstance(freezing({ idleAfter: duration('1m') }))
    release(await hold(instance))
    await clock.advance(60_000)
    assert.deepEqual([instance.phase, runtime.count('freeze')], ['asleep', 0])
  })

  test('one that is in use is not, also not by hand', async () => {
    const instance = environment.anInstance(freezing())
    const held = await hold(instance)
    await clock.advance(3_600_000)
    await instance.freeze()
    assert.deepEqual([instance.phase, runtime.count('freeze')], ['awake', 0])
    release(held)
    await instance.freeze()
    assert.equal(instance.phase, 'frozen')
  })

  test('its connections end as a run of its own, and its container goes on', async () => {
    const instance = environment.anInstance(freezing())
    const first = await hold(instance)
    release(first)
    await clock.advance(60_000)
    const { run = '' } = first
    const [container] = instance.containers
    assert.deepEqual(environment.ended, [{ run, address: first.address, problem: null }])
    const second = await hold(instance)
    assert.notEqual(second.run, run)
    assert.equal(second.address, first.address)
    assert.ok(instance.liveness(second.run ?? '') === instance.liveness(run))
    release(second)
    await instance.sleep('asked')
    assert.deepEqual(environment.ended.at(-1), { run: second.run, container, address: first.address, problem: null })
  })

  test('where the runtime cannot freeze it, it serves on, and is tried again a minute later', async () => {
    const gate = runtime.gate('freeze')
    const instance = environment.anInstance(freezing())
    release(await hold(instance))
    await clock.advance(60_000)
    gate.fail(new ShadowError('app-stuck', 'a process waits for a disk'))
    await settled()
    assert.equal(instance.phase, 'awake')
    assert.match(environment.journal.at(-1) ?? '', /not frozen: a process waits for a disk/)
    release(await hold(instance))
    await clock.advance(60_000)
    assert.deepEqual([instance.phase, runtime.count('freeze')], ['frozen', 2])
  })

  test('a node that is stopped leaves it frozen', async () => {
    const instance = await frozen()
    await instance.close(new ShadowError('shutting-down', 'this node is stopping'), 'shutdown', { sleep: false })
    assert.deepEqual([runtime.frozen.size, runtime.running().length, clock.waiting], [1, 1, 0])
  })

  test('neither one of several instances is frozen, nor an app that uses others', async () => {
    const sleep = freezing({ freezeAfter: duration('10s') }).sleep
    const slot = environment.anInstance(releaseOf(1, { sleep }), {}, 'blog.1' as Instance['id'])
    const user = environment.anInstance(releaseOf(1, { sleep, uses: [appName('db')] }))
    release(await hold(slot))
    release(await hold(user))
    await clock.advance(10_000)
    assert.deepEqual([slot.phase, user.phase, runtime.count('freeze')], ['awake', 'awake', 0])
  })
})

describe('a frozen instance whose memory may go to swap', () => {
  const suspending = () => freezing({ suspendAfter: duration('2m') })

  test('is suspended at its time, with its volume synced, and goes on at the next request', async () => {
    const instance = await frozen(suspending())
    assert.equal(instance.view().freezesAt, new Date(clock.now() + 60_000).toISOString())
    await clock.advance(59_999)
    assert.deepEqual([instance.phase, runtime.count('swapOut')], ['frozen', 0])
    await clock.advance(1)
    assert.deepEqual([instance.phase, runtime.count('swapOut'), environment.volumes.synced], ['suspended', 1, ['blog']])
    release(await hold(instance))
    assert.deepEqual([instance.phase, runtime.frozen.size, runtime.count('start')], ['awake', 0, 1])
    await clock.advance(120_000)
    assert.equal(instance.phase, 'suspended')
    await clock.advance(180_000)
    assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'idle'])
    environment.nothingLeft()
  })

  test('does not keep a request waiting that comes while its memory is moved', async () => {
    const instance = await frozen(suspending())
    const gate = runtime.gate('swapOut')
    await clock.advance(60_000)
    const held = await hold(instance)
    assert.equal(instance.phase, 'awake')
    gate.open()
    await settled()
    assert.equal(instance.phase, 'awake')
    release(held)
  })

  test('stays frozen on a machine without swap, and is told so once', async () => {
    runtime.hasSwap = false
    const instance = await frozen(suspending())
    await clock.advance(180_000)
    assert.deepEqual([instance.phase, runtime.count('swapOut')], ['frozen', 1])
    assert.match(environment.journal.at(-1) ?? '', /not suspended: this machine has no swap/)
    await assert.rejects(instance.freeze('suspended'), error => isFailure(error, 'no-swap'))
    await clock.advance(60_000)
    assert.equal(instance.phase, 'asleep')
  })

  test('that ends while its memory is moved leaves nothing', async () => {
    const instance = await frozen(suspending())
    const gate = runtime.gate('swapOut')
    await clock.advance(60_000)
    const asleep = instance.sleep('asked')
    await settled()
    gate.fail(new Error('no such cgroup'))
    await asleep
    assert.equal(instance.phase, 'asleep')
    environment.nothingLeft()
  })
})

describe('a frozen instance', () => {
  test('goes on at the next request, without a start, and is frozen again later', async () => {
    const instance = await frozen()
    const held = await hold(instance)
    assert.deepEqual([instance.phase, runtime.frozen.size, runtime.count('start')], ['awake', 0, 1])
    await clock.advance(120_000)
    assert.equal(instance.phase, 'awake', 'a request keeps it awake')
    release(held)
    await clock.advance(59_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'frozen')
    assert.match(environment.journal.join('\n'), /frozen: idle\nthawed after .*, woken by GET \/\nfrozen: idle/)
  })

  test('is thawed once for requests that come together', async () => {
    const instance = await frozen()
    const held = await Promise.all([hold(instance), hold(instance), hold(instance)])
    assert.equal(runtime.count('thaw'), 1)
    held.forEach(release)
  })

  test('a request that comes while it is being frozen waits for that, and is served', async () => {
    const gate = runtime.gate('freeze')
    const instance = environment.anInstance(freezing())
    release(await hold(instance))
    await clock.advance(60_000)
    const held = hold(instance)
    await settled()
    gate.open()
    release(await held)
    assert.deepEqual([instance.phase, runtime.frozen.size], ['awake', 0])
  })

  test('a request is served though a sleep is asked for while it thaws the instance', async () => {
    const instance = await frozen()
    const gate = runtime.gate('thaw')
    const held = hold(instance)
    await settled()
    const slept = instance.sleep('asked')
    gate.open()
    await slept
    release(await held)
    assert.equal(instance.phase, 'awake')
  })

  test('a request that may not wake it leaves it frozen', async () => {
    const instance = await frozen()
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-asleep'))
    assert.equal(instance.phase, 'frozen')
  })

  test('whose container ends is started anew by the next request', async () => {
    const instance = await frozen()
    const [container] = runtime.running()
    assert.ok(container)
    runtime.end(container, { exitCode: 137, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'crashed')
    await clock.advance(60_000)
    release(await hold(instance))
    assert.deepEqual([instance.phase, runtime.count('start')], ['awake', 2])
  })

  test('whose container ends while it is being thawed is started anew for the request that waits', async () => {
    const instance = await frozen()
    const gate = runtime.gate('thaw')
    const held = hold(instance)
    await settled()
    const [container] = runtime.running()
    assert.ok(container)
    runtime.end(container, { exitCode: 0, outOfMemory: false })
    await settled()
    gate.open()
    release(await held)
    assert.deepEqual([instance.phase, runtime.count('start')], ['awake', 2])
  })

  test('that loses the lease of its volume is ended without time to write', async () => {
    environment = new InstanceEnvironment({ excludes: false })
    ;({ clock, runtime } = environment)
    const instance = await frozen()
    environment.leases.lose(volumeId('blog'))
    await settled()
    assert.equal(instance.phase, 'asleep')
    assert.equal(runtime.graces[0], 0)
    environment.nothingLeft()
  })

  test('gives way to others, and is put to sleep by hand', async () => {
    for (const why of ['room', 'asked', 'drained'] as const) {
      const instance = await frozen()
      assert.equal(instance.idleSince, clock.now() - 60_000)
      await instance.sleep(why)
      assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', why])
    }
    environment.nothingLeft()
  })

  test('is woken by hand without a start, and that is counted as such', async () => {
    const woken: unknown[] = []
    const counters = new InstanceCounters({
      woken: ({ cause }, tier) => void woken.push([cause, tier]),
      wakeFailed: () => assert.fail(),
    })
    const instance = environment.anInstance(freezing(), { counters })
    release(await hold(instance))
    await clock.advance(60_000)
    await instance.wake({ says: 'a person who asked', cause: 'person' }, AbortSignal.timeout(5_000))
    assert.deepEqual([instance.phase, runtime.count('start')], ['awake', 1])
    assert.deepEqual(woken, [
      ['request', 'asleep'],
      ['person', 'frozen'],
    ])
    await clock.advance(59_000)
    assert.equal(instance.phase, 'awake')
  })

  test('a newer release stops it, and the next request runs that one', async () => {
    const instance = await frozen()
    instance.define({ ...freezing(), revision: 2 })
    await clock.advance(0)
    await settled()
    assert.deepEqual([instance.phase, instance.view().stoppedBy], ['asleep', 'updated'])
    release(await hold(instance))
    assert.deepEqual(environment.revisions, [2])
  })

  test('a runtime that cannot thaw it fails the request, and the next one tries again', async () => {
    const instance = await frozen()
    const gate = runtime.gate('thaw')
    const held = hold(instance)
    await settled()
    gate.fail(new ShadowError('runtime-unreachable', 'Docker does not answer'))
    await assert.rejects(held, error => isFailure(error, 'runtime-unreachable'))
    assert.equal(instance.phase, 'frozen')
    release(await hold(instance))
    assert.equal(instance.phase, 'awake')
  })
})
