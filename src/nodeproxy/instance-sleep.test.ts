import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Held } from '../model/instance.ts'
import { duration } from '../model/quantities.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import type { FakeVolumes } from '../testing/fake-volumes.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../testing/instance-environment.ts'

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

describe('sleeping', () => {
  test('it sleeps when it was out of use for its idle time, to the millisecond', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance)
    await clock.advance(3_600_000)
    release(held)
    assert.equal(instance.view().sleepsAt, new Date(clock.now() + 300_000).toISOString())
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'idle')
    environment.nothingLeft()
  })

  test('a node that leaves its apps running puts none to sleep that was in use at that moment', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance)
    await clock.advance(3_600_000)
    await instance.close(new ShadowError('shutting-down', 'this node is stopping'), 'shutdown', { sleep: false })
    release(held)
    await clock.advance(3_600_000)
    assert.deepEqual([instance.phase, runtime.count('stop'), clock.waiting], ['awake', 0, 0])
  })

  test('each request begins the idle time anew, from its last byte', async () => {
    const instance = environment.anInstance()
    for (let i = 0; i < 10; i++) {
      const held = await hold(instance)
      await clock.advance(7_000)
      release(held)
      await clock.advance(299_000)
      assert.equal(instance.phase, 'awake')
    }
    await clock.advance(1_000)
    assert.equal(instance.phase, 'asleep')
  })

  test('a request in the middle of the idle time moves the sleep, exactly', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    await clock.advance(200_000)
    release(await hold(instance))
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('a wake that nobody waits for any more idles from ready on', async () => {
    const instance = environment.anInstance()
    await instance.wake({ says: 'asked', cause: 'person' }, never)
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('what could never be woken again makes no room for others before its idle time is over', async () => {
    for (const ends of [false, true]) {
      const instance = environment.anInstance(aTask(), { endsBySleep: () => ends })
      release(await hold(instance))
      assert.equal(instance.idleSince, ends ? undefined : clock.now())
      await clock.advance(300_000)
      assert.equal(instance.phase, 'asleep')
    }
  })

  test('with idleAfter never it never sleeps', async () => {
    const instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, idleAfter: 'never' } }))
    release(await hold(instance))
    await clock.advance(90 * 86_400_000)
    assert.equal(instance.phase, 'awake')
    assert.equal(instance.view().sleepsAt, null)
  })

  test('an idle time of a month is kept', async () => {
    const instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, idleAfter: duration('30d') } }))
    release(await hold(instance))
    await clock.advance(30 * 86_400_000 - 1)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('an open WebSocket keeps it awake, and its closing lets it sleep', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance, { kind: 'websocket' })
    await clock.advance(86_400_000)
    assert.equal(instance.phase, 'awake')
    release(held)
    await clock.advance(300_000)
    assert.equal(instance.phase, 'asleep')
  })

  test('an app that ignores WebSockets sleeps under an open one', async () => {
    const instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, webSockets: 'ignore' } }))
    release(await hold(instance))
    let told = 0
    const held = await hold(instance, { kind: 'websocket', goAway: () => told++ })
    assert.deepEqual(
      instance.view().holds.map(({ kind, isIgnored }) => [kind, isIgnored]),
      [['websocket', true]],
    )
    await clock.advance(300_000)
    assert.equal(instance.phase, 'asleep')
    assert.equal(told, 1, 'its client is told')
    release(held)
  })

  test('an ignored WebSocket alone does not wake the app, but joins a wake that is under way', async () => {
    const instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, webSockets: 'ignore' } }))
    const refused = await hold(instance, { kind: 'websocket' }).catch((error: unknown) => error)
    assert(isFailure(refused, 'app-asleep') && (refused.details.retryAfterMs ?? 0) > 0)
    assert.equal(instance.phase, 'asleep')
    const [page, socket] = await Promise.all([hold(instance), hold(instance, { kind: 'websocket' })])
    release(page)
    release(socket)
  })

  test('a WebSocket that is to wake the app wakes it, and does not keep it awake', async () => {
    const other = environment.anInstance(aTask({ sleep: { ...aTask().sleep, webSockets: 'wake' } }))
    const held = await hold(other, { kind: 'websocket' })
    await clock.advance(300_000)
    assert.equal(other.phase, 'asleep')
    release(held)
  })

  test('requests wake an app so many times a minute; a person may wake it all the same', async () => {
    const instance = environment.anInstance(aTask({ sleep: { ...aTask().sleep, idleAfter: duration('1s'), wakes: 2 } }))
    for (let wake = 0; wake < 2; wake++) {
      release(await hold(instance))
      await clock.advance(1_000)
      assert.equal(instance.phase, 'asleep')
    }
    const refused = await hold(instance).catch((error: unknown) => error)
    assert(isFailure(refused, 'rate-limited'))
    assert.equal(instance.view().refusedWakes?.count, 1)
    await instance.wake({ says: 'a person', cause: 'person' }, never)
    await clock.advance(refused.details.retryAfterMs ?? 0)
    assert.equal(instance.phase, 'asleep')
    release(await hold(instance))
  })

  test('wakes that failed since the store was away do not count: once it is back, the app is woken', async () => {
    const task = aTask({ sleep: { ...aTask().sleep, wakes: 2 } })
    const instance = environment.anInstance(task)
    environment.leases.failure = new ShadowError('storage-unreachable', 'the store is away')
    for (let wake = 0; wake < 5; wake++)
      await assert.rejects(
        async () => hold(instance),
        error => isFailure(error, 'storage-unreachable'),
      )
    environment.leases.failure = undefined
    release(await hold(instance))
  })

  test('a hold released twice is a bug that is thrown', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance)
    release(held)
    assert.throws(() => release(held), /released twice/)
  })

  test('a request that comes in the moment of its sleep calls the sleep off', async () => {
    const instance = environment.anInstance()
    let coming: Promise<Held> | undefined
    const after = clock.after.bind(clock)
    clock.after = (ms, callback) =>
      after(ms, () => {
        callback()
        coming ??= hold(instance) // the idle alarm has fired, but the sleep has not begun
      })
    await instance.wake({ says: 'asked', cause: 'person' }, never)
    await clock.advance(300_000)
    assert.equal(instance.phase, 'awake')
    assert.equal(runtime.count('stop'), 0)
    release((await coming)!)
    await clock.advance(300_000)
    assert.equal(instance.phase, 'asleep')
  })

  for (const step of ['stop', 'unmount', 'detach']) {
    test(`a request that comes at the ${step} of a sleep waits, then wakes the app again`, async () => {
      let coming: Promise<Held> | undefined
      const instance = environment.anInstance(aTask(), {
        onStep: now => {
          if (now === step) coming ??= hold(instance)
        },
      })
      release(await hold(instance))
      await clock.advance(300_000)
      await settled()
      assert.equal((await coming)?.address, '10.0.0.2:8000')
      assert.equal(instance.phase, 'awake')
      assert.equal(runtime.count('start'), 2)
      assert.equal(runtime.running().length, 1)
    })
  }

  test('sleep that is asked for waits for requests in flight, for 10 seconds at most; new ones wait and wake it again', async () => {
    const instance = environment.anInstance()
    const first = await hold(instance)
    const asleep = instance.sleep('asked')
    await clock.advance(5_000)
    assert.equal(instance.phase, 'stopping')
    assert.equal(runtime.count('stop'), 0)
    release(first)
    await asleep
    assert.equal(instance.view().stoppedBy, 'asked')

    const second = await hold(instance)
    const again = instance.sleep('asked')
    await clock.advance(1)
    const waiting = hold(instance)
    await clock.advance(9_998)
    assert.equal(runtime.count('stop'), 1)
    await clock.advance(1)
    await again
    assert.equal(runtime.count('stop'), 2)
    release(second)
    await waiting
    assert.equal(instance.phase, 'awake')
  })

  test('sleep of what sleeps is success', async () => {
    const instance = environment.anInstance()
    await instance.sleep('asked')
    assert.equal(runtime.calls.length, 0)
  })
})

describe('stuck', () => {
  test('a disk that will not unmount is never detached; what is held is told, and the next wake takes it up first', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    volumes.failures.set('unmount', new Error('target is busy'))
    await clock.advance(300_000)
    assert.equal(instance.phase, 'stuck')
    assert.deepEqual(instance.view().held, ['detach', 'unmount'])
    assert.match(instance.view().problem?.detail ?? '', /unmount: target is busy/)
    assert.equal(volumes.devices.size, 1)

    await assert.rejects(hold(instance), error => isFailure(error, 'app-stuck'))
    assert.equal(runtime.count('start'), 1)
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-stuck'))

    volumes.failures.clear()
    await hold(instance)
    assert.deepEqual(volumes.calls.slice(-5), [
      'unmount blog',
      'detach blog',
      'attach blog',
      'check blog',
      'mount blog',
    ])
  })

  test('an inventory that was taken before it slept finds no left-over of it', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    const [at, found] = [clock.now(), runtime.running()]
    await clock.advance(1)
    const slept = instance.sleep('asked')
    const mended = instance.reconcile(at, found, () => assert.fail('what was found is gone'))
    await Promise.all([slept, mended])
    assert.equal(instance.phase, 'asleep')
    environment.nothingLeft()
  })

  test('a stuck app is mended by looking again, or by an asked sleep', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    volumes.failures.set('detach', new Error('busy'))
    await assert.rejects(instance.sleep('asked'), error => isFailure(error, 'app-stuck'))
    await assert.rejects(
      instance.reconcile(clock.now() + 1, [], () => undefined),
      error => isFailure(error, 'app-stuck'),
    )
    volumes.failures.clear()
    await instance.sleep('asked')
    assert.equal(instance.phase, 'asleep')
    environment.nothingLeft()
  })

  test('a failed wake that cannot be undone tells the failure first, and is stuck', async () => {
    volumes.failures.set('mount', new ShadowError('volume-broken', 'bad disk'))
    volumes.failures.set('detach', new Error('busy'))
    const instance = environment.anInstance()
    await assert.rejects(hold(instance), error => isFailure(error, 'volume-broken'))
    await settled()
    assert.equal(instance.phase, 'stuck')
  })
})

describe('closing', () => {
  const bye = new ShadowError('shutting-down', 'this node is stopping')

  test('a wake under way is undone, and those who wait are told', async () => {
    environment.slowReady()
    const instance = environment.anInstance()
    const waiting = hold(instance)
    waiting.catch(() => undefined)
    await settled()
    await instance.close(bye, 'shutdown', { sleep: false })
    await assert.rejects(waiting, error => isFailure(error, 'shutting-down'))
    environment.nothingLeft()
    await assert.rejects(hold(instance), error => isFailure(error, 'shutting-down'))
  })

  test('an awake app goes on running when it is not put to sleep, with no timer left', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    await instance.close(bye, 'shutdown', { sleep: false })
    assert.equal(runtime.running().length, 1)
    assert.equal(clock.waiting, 0)
    await settled()
    assert.equal(environment.lost, 0)
  })

  test('an awake app is put to sleep when that is wanted', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    await instance.close(bye, 'shutdown', { sleep: true })
    environment.nothingLeft()
    assert.equal(instance.view().stoppedBy, 'shutdown')
  })
})
