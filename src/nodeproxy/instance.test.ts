import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { duration } from '../model/quantities.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import type { FakeVolumes } from '../testing/fake-volumes.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'

let environment: InstanceEnvironment
let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes

beforeEach(() => {
  environment = new InstanceEnvironment()
  ;({ clock, runtime, volumes } = environment)
})

afterEach(() => {
  assert.deepEqual(environment.volumes.wrongs, [])
})

describe('waking', () => {
  test('200 requests at once wake the app once, and all get its address', async () => {
    const instance = environment.anInstance()
    const all = await Promise.all(Array.from({ length: 200 }, () => hold(instance)))
    assert.equal(runtime.count('start'), 1)
    assert.deepEqual([...new Set(all.map(({ address }) => address))], ['10.0.0.2:8000'])
    assert.equal(instance.view().holds.length, 100)
  })

  test('200 requests that wait for an app that crashes are told so by one start', async () => {
    const instance = environment.anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
    environment.slowReady()
    const all = await Promise.allSettled(Array.from({ length: 200 }, () => hold(instance)))
    assert.ok(all.every(one => one.status === 'rejected' && isFailure(one.reason, 'app-crashed')))
    await settled()
    assert.equal(runtime.count('start'), 1)
    assert.equal(instance.view().waiting, 0)
  })

  test('a volume is made under the epoch of its lease', async () => {
    await hold(environment.anInstance())
    assert.deepEqual([...volumes.epochs.values()], [1])
  })

  test('a request that waited is told its stages; one that did not is not', async () => {
    const instance = environment.anInstance()
    const first = await hold(instance)
    const second = await hold(instance)
    assert.deepEqual(Object.keys(first.waited ?? {}).sort(), [
      'attach',
      'create',
      'fsck',
      'image',
      'lease',
      'mount',
      'ready',
      'start',
      'wake',
    ])
    assert.equal(second.waited, undefined)
  })

  test('volume and container are made ready side by side, and both before the start', async () => {
    const gate = runtime.gate('image')
    const instance = environment.anInstance()
    const held = hold(instance)
    await settled()
    assert.deepEqual(volumes.calls, ['attach blog', 'check blog', 'mount blog'])
    assert.equal(runtime.count('start'), 0)
    gate.open()
    release(await held)
  })

  test('one who leaves while waiting does not stop the wake', async () => {
    const ready = environment.slowReady()
    const instance = environment.anInstance()
    const leaving = new AbortController()
    const gone = hold(instance, {}, leaving.signal)
    await settled()
    leaving.abort(new ShadowError('client-gone', 'left'))
    await assert.rejects(gone, error => isFailure(error, 'client-gone'))
    assert.equal(instance.view().waiting, 0)
    ready.resolve()
    await settled()
    assert.equal(instance.phase, 'awake')
  })

  test('a browser that will not wait is told that the app is waking, and the wake goes on', async () => {
    const ready = environment.slowReady()
    const instance = environment.anInstance()
    const told = hold(instance, { patienceMs: 500 })
    told.catch(() => undefined)
    await clock.advance(499)
    assert.equal(instance.view().waiting, 1)
    await clock.advance(1)
    await assert.rejects(told, error => isFailure(error, 'app-waking') && error.details.retryAfterMs === 1_000)
    ready.resolve()
    await settled()
    assert.equal(instance.phase, 'awake')
  })

  test('a request that may not wake is told asleep, waking, or served', async () => {
    const ready = environment.slowReady()
    const instance = environment.anInstance()
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-asleep'))
    const first = hold(instance)
    await settled()
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-waking'))
    ready.resolve()
    await first
    await hold(instance, { mayWake: false })
  })

  test('past the bound of those who wait the next is refused, and there is room again when they are served', async () => {
    const ready = environment.slowReady()
    const instance = environment.anInstance(aTask(), { waiting: 2 })
    const waiting = [hold(instance), hold(instance)]
    await assert.rejects(
      hold(instance),
      error => isFailure(error, 'queue-full') && error.details.retryAfterMs === 2_000,
    )
    ready.resolve()
    await Promise.all(waiting)
    await hold(instance)
  })

  for (const failing of ['attach', 'check', 'mount'] as const) {
    test(`a wake whose ${failing} fails is undone, and the next request tries again`, async () => {
      volumes.failures.set(failing, new ShadowError('volume-broken', 'bad disk'))
      const instance = environment.anInstance()
      await assert.rejects(hold(instance), error => isFailure(error, 'volume-broken'))
      await settled()
      assert.equal(instance.phase, 'asleep')
      assert.equal(instance.view().problem?.code, 'volume-broken')
      environment.nothingLeft()
      volumes.failures.clear()
      await hold(instance)
      assert.equal(instance.view().problem, null)
    })
  }

  for (const failing of ['image', 'create', 'start'] as const) {
    test(`a wake whose ${failing} fails is undone, and the next request tries again`, async () => {
      const gate = runtime.gate(failing)
      const instance = environment.anInstance()
      const held = hold(instance)
      held.catch(() => undefined)
      await settled()
      gate.fail(new ShadowError('image-not-found', 'no such image'))
      await assert.rejects(held, error => isFailure(error, 'image-not-found'))
      await settled()
      environment.nothingLeft()
      await hold(instance)
    })
  }

  for (const step of ['lease', 'attach', 'fsck', 'mount', 'image', 'create', 'start', 'ready']) {
    test(`whatever breaks before ${step}, nothing is left`, async () => {
      let broken = true
      const instance = environment.anInstance(aTask(), {
        onStep: now => {
          if (now === step && broken) throw new Error('broken')
        },
      })
      await assert.rejects(hold(instance), /broken/)
      await settled()
      environment.nothingLeft()
      broken = false
      await hold(instance)
    })
  }

  test('an app that is not ready in time is told of with its port and its last lines, and is stopped', async () => {
    environment.slowReady()
    runtime.writes = ['listening on 3000']
    const instance = environment.anInstance(aTask({ startWithin: duration('30s') }))
    const held = hold(instance)
    held.catch(() => undefined)
    await clock.advance(29_999)
    assert.equal(instance.phase, 'waking')
    await clock.advance(1)
    await assert.rejects(
      held,
      error => isFailure(error, 'app-not-ready') && /port 8000 within 30s.*\nlistening on 3000/s.test(error.message),
    )
    await settled()
    environment.nothingLeft()
  })

  test('an app that listens on another port is told of with that', async () => {
    environment.slowReady()
    runtime.listens = [{ port: 3000, isLoopback: false }]
    const instance = environment.anInstance(aTask({ startWithin: duration('2s') }))
    const held = hold(instance)
    held.catch(() => undefined)
    await clock.advance(2_000)
    await assert.rejects(
      held,
      error =>
        isFailure(error, 'app-not-ready') &&
        /within 2s; it listens on 3000, not 8000/.test(error.message) &&
        /shadow update blog --port 3000/.test(error.details.hint ?? ''),
    )
  })

  test('an app that listens for its own container alone is given up before its deadline', async () => {
    environment.slowReady()
    runtime.listens = [{ port: 8000, isLoopback: true }]
    const instance = environment.anInstance(aTask({ startWithin: duration('12s') }))
    const held = hold(instance)
    held.catch(() => undefined)
    await clock.advance(4_000)
    await assert.rejects(
      held,
      error => isFailure(error, 'app-not-ready') && /127\.0\.0\.1:8000 only/.test(error.message),
    )
    await settled()
    environment.nothingLeft()
  })

  test('once an app is ready nobody looks where it listens', async () => {
    const instance = environment.anInstance()
    runtime.listens = [{ port: 8000, isLoopback: true }]
    const held = await hold(instance)
    await clock.advance(60_000)
    assert.equal(instance.phase, 'awake')
    release(held)
  })

  test('the wait for a slow start counts as use: the app does not sleep under it', async () => {
    const ready = environment.slowReady()
    const instance = environment.anInstance(
      aTask({ startWithin: duration('10m'), sleep: { ...aTask().sleep, idleAfter: duration('1s') } }),
    )
    const held = hold(instance)
    await clock.advance(300_000)
    ready.resolve()
    const mine = await held
    await clock.advance(60_000)
    assert.equal(instance.phase, 'awake')
    release(mine)
  })
})

test('followers see each phase, and end with their signal', async () => {
  const instance = environment.anInstance()
  const done = new AbortController()
  const seen: string[] = []
  const following = (async () => {
    for await (const { phase } of instance.follow(done.signal)) if (seen.at(-1) !== phase) seen.push(phase)
  })()
  const ready = environment.slowReady()
  const held = hold(instance)
  await settled()
  ready.resolve()
  release(await held)
  await settled()
  await clock.advance(300_000)
  done.abort()
  await following
  assert.deepEqual(seen, ['asleep', 'waking', 'awake', 'stopping', 'asleep'])
})
