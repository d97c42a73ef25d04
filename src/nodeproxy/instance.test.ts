import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import type { Held } from '../model/instance.ts'
import { nodeName } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { HandClock } from '../testing/clock.ts'
import { anAsk, aTask } from '../testing/fake-app.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { Instance } from './instance.ts'
import { Queue } from './queue.ts'

const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
}
const never = new AbortController().signal

let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes
let becomeReady: () => Promise<void>
let steps: string[]
let lost: number

beforeEach(() => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  volumes = new FakeVolumes()
  volumes.inUse = () => runtime.running().length > 0
  becomeReady = async () => undefined
  steps = []
  lost = 0
})

afterEach(() => {
  assert.deepEqual(volumes.wrongs, [])
})

function anInstance(
  task: TaskDefinition = aTask(),
  options: { waiting?: number; onStep?: (step: string) => void; onReady?: () => void } = {},
) {
  const bounds = { requests: options.waiting ?? 1_000, bytes: 1_000_000 }
  return new Instance(task, {
    clock,
    runtime,
    volumes,
    mounts: volumes,
    leases: { take: async () => undefined },
    untilReady: () => becomeReady(),
    onStarted: () => undefined,
    onStep: (_app, step, when) => {
      steps.push(`${when} ${step}`)
      if (when === 'before') options.onStep?.(step)
      if (when === 'after' && step === 'ready') options.onReady?.()
    },
    node: nodeName('n1'),
    queue: new Queue({ perApp: bounds, perNode: bounds }),
    log: noLog,
    journal: () => undefined,
    onLost: () => void lost++,
    onLeft: () => undefined,
  })
}

const hold = (instance: Instance, changes = {}, signal = never): Promise<Held> => instance.hold(anAsk(changes), signal)
const release = (held: Held): void => held[Symbol.dispose]()
const nothingLeft = (): void => {
  assert.equal(runtime.containers.size, 0)
  assert.equal(volumes.mountedNow.size, 0)
  assert.equal(volumes.devices.size, 0)
}

/** A readiness that the test opens or fails by hand. */
function slowReady(): PromiseWithResolvers<void> {
  const gate = Promise.withResolvers<void>()
  becomeReady = () => gate.promise
  return gate
}

describe('waking', () => {
  test('200 requests at once wake the app once, and all get its address', async () => {
    const instance = anInstance()
    const all = await Promise.all(Array.from({ length: 200 }, () => hold(instance)))
    assert.equal(runtime.count('start'), 1)
    assert.deepEqual([...new Set(all.map(({ address }) => address))], ['10.0.0.2:8000'])
    assert.equal(instance.view().holds.length, 100)
  })

  test('200 requests that wait for an app that crashes are told so by one start', async () => {
    const instance = anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
    slowReady()
    const all = await Promise.allSettled(Array.from({ length: 200 }, () => hold(instance)))
    assert.ok(all.every(one => one.status === 'rejected' && isFailure(one.reason, 'app-crashed')))
    await settled()
    assert.equal(runtime.count('start'), 1)
    assert.equal(instance.view().waiting, 0)
  })

  test('a request that waited is told its stages; one that did not is not', async () => {
    const instance = anInstance()
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
    const instance = anInstance()
    const held = hold(instance)
    await settled()
    assert.deepEqual(volumes.calls, ['attach blog', 'check blog', 'mount blog'])
    assert.equal(runtime.count('start'), 0)
    gate.open()
    release(await held)
  })

  test('one who leaves while waiting does not stop the wake', async () => {
    const ready = slowReady()
    const instance = anInstance()
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
    const ready = slowReady()
    const instance = anInstance()
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
    const ready = slowReady()
    const instance = anInstance()
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-asleep'))
    const first = hold(instance)
    await settled()
    await assert.rejects(hold(instance, { mayWake: false }), error => isFailure(error, 'app-waking'))
    ready.resolve()
    await first
    await hold(instance, { mayWake: false })
  })

  test('past the bound of those who wait the next is refused, and there is room again when they are served', async () => {
    const ready = slowReady()
    const instance = anInstance(aTask(), { waiting: 2 })
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
      const instance = anInstance()
      await assert.rejects(hold(instance), error => isFailure(error, 'volume-broken'))
      await settled()
      assert.equal(instance.phase, 'asleep')
      assert.equal(instance.view().problem?.code, 'volume-broken')
      nothingLeft()
      volumes.failures.clear()
      await hold(instance)
      assert.equal(instance.view().problem, null)
    })
  }

  for (const failing of ['image', 'create', 'start'] as const) {
    test(`a wake whose ${failing} fails is undone, and the next request tries again`, async () => {
      const gate = runtime.gate(failing)
      const instance = anInstance()
      const held = hold(instance)
      held.catch(() => undefined)
      await settled()
      gate.fail(new ShadowError('image-not-found', 'no such image'))
      await assert.rejects(held, error => isFailure(error, 'image-not-found'))
      await settled()
      nothingLeft()
      await hold(instance)
    })
  }

  for (const step of ['lease', 'attach', 'fsck', 'mount', 'image', 'create', 'start', 'ready']) {
    test(`whatever breaks before ${step}, nothing is left`, async () => {
      let broken = true
      const instance = anInstance(aTask(), {
        onStep: now => {
          if (now === step && broken) throw new Error('broken')
        },
      })
      await assert.rejects(hold(instance), /broken/)
      await settled()
      nothingLeft()
      broken = false
      await hold(instance)
    })
  }

  test('an app that is not ready in time is told of with its port and its last lines, and is stopped', async () => {
    slowReady()
    runtime.writes = ['listening on 3000']
    const instance = anInstance(aTask({ startWithin: duration('30s') }))
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
    nothingLeft()
  })

  test('the wait for a slow start counts as use: the app does not sleep under it', async () => {
    const ready = slowReady()
    const instance = anInstance(
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

describe('crashes', () => {
  test('a container that dies before it is ready ends the wait at once, with exit code and last lines', async () => {
    slowReady()
    runtime.writes = ['no database']
    const instance = anInstance()
    const held = hold(instance)
    held.catch(() => undefined)
    await settled()
    const stopping = runtime.gate('remove')
    runtime.end(runtime.running()[0]!, { exitCode: 3, outOfMemory: false })
    await assert.rejects(
      held,
      error => isFailure(error, 'app-crashed') && /exit code 3.*no database/s.test(error.message),
    )
    assert.equal(instance.phase, 'stopping')
    stopping.open()
    await settled()
    assert.equal(instance.phase, 'crashed')
    nothingLeft()
  })

  test('a container killed for its memory is told so', async () => {
    slowReady()
    const instance = anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 137, outOfMemory: true })
    await assert.rejects(
      hold(instance),
      error => isFailure(error, 'app-crashed') && /64MiB of memory/.test(error.message),
    )
  })

  test('the first retry is at once; from the third failure on each rest is twice the last, up to 5 minutes, and says so', async () => {
    slowReady()
    const instance = anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
    for (let i = 0; i < 3; i++) {
      await assert.rejects(
        hold(instance),
        error => isFailure(error, 'app-crashed') && error.details.retryAfterMs === undefined,
      )
      await settled()
    }
    for (const rest of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]) {
      const before = runtime.count('start')
      await assert.rejects(
        hold(instance),
        error =>
          isFailure(error, 'app-crashed') && error.details.retryAfterMs === rest && /crash loop/.test(error.message),
      )
      await clock.advance(rest - 1)
      await assert.rejects(hold(instance), /crash loop/)
      assert.equal(runtime.count('start'), before)
      await clock.advance(1)
      await assert.rejects(
        hold(instance),
        error => isFailure(error, 'app-crashed') && !/crash loop/.test(error.message),
      )
      assert.equal(runtime.count('start'), before + 1)
      await settled()
    }
  })

  test('a person who asks wakes it in spite of the rest, and a new revision ends it', async () => {
    slowReady()
    const instance = anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
    for (let i = 0; i < 3; i++) {
      await assert.rejects(hold(instance))
      await settled()
    }
    await assert.rejects(hold(instance), /crash loop/)
    await assert.rejects(instance.wake('asked', never), error => !/crash loop/.test(String(error)))
    await settled()
    runtime.onStart = () => undefined
    becomeReady = async () => undefined
    await assert.rejects(hold(instance), /crash loop/)
    instance.define(aTask({ revision: 2 }))
    assert.equal(instance.phase, 'asleep')
    await hold(instance)
    assert.equal(instance.view().failures, 0)
  })

  test('an app that dies while awake is unwound, and the next request wakes it again', async () => {
    const instance = anInstance()
    const held = await hold(instance)
    runtime.end(runtime.running()[0]!, { exitCode: 1, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'crashed')
    assert.equal(instance.view().stoppedBy, 'died')
    nothingLeft()
    release(held)
    await hold(instance)
    assert.equal(instance.phase, 'awake')
  })

  test('dying again and again right after it was ready is a crash loop; a minute of life is none', async () => {
    const instance = anInstance()
    const die = async (): Promise<void> => {
      runtime.end(runtime.running()[0]!, { exitCode: 1, outOfMemory: false })
      await settled()
    }
    for (let i = 0; i < 3; i++) {
      release(await hold(instance))
      await die()
    }
    await assert.rejects(hold(instance), /crash loop/)
    await clock.advance(1_000)
    release(await hold(instance))
    await clock.advance(60_000)
    await die()
    assert.equal(instance.view().failures, 1)
    release(await hold(instance))
  })

  test('an orderly sleep ends a row of failures', async () => {
    const instance = anInstance()
    release(await hold(instance))
    runtime.end(runtime.running()[0]!, { exitCode: 1, outOfMemory: false })
    await settled()
    release(await hold(instance))
    assert.equal(instance.view().failures, 1)
    await instance.sleep('asked')
    assert.equal(instance.view().failures, 0)
  })

  test('an app that lived and ends by itself with 0 is asleep, not crashed', async () => {
    const instance = anInstance()
    release(await hold(instance))
    await clock.advance(60_000)
    runtime.end(runtime.running()[0]!, { exitCode: 0, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'died')
  })

  test('when the runtime loses sight of an app that still runs, it stays awake and is watched anew', async () => {
    const instance = anInstance()
    const held = await hold(instance)
    const [container] = runtime.running()
    runtime.lose(container!)
    await settled()
    assert.equal(lost, 1)
    assert.equal(instance.phase, 'awake')
    await instance.look(clock.now() + 1, await runtime.leftBehind(), () => undefined)
    release(held)
    runtime.end(container!, { exitCode: 1, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'crashed')
  })

  test('a container that was removed by hand is noticed', async () => {
    const instance = anInstance()
    release(await hold(instance))
    runtime.containers.clear()
    await instance.look(clock.now() + 1, [], () => undefined)
    await settled()
    assert.equal(instance.phase, 'crashed')
    assert.match(instance.view().problem?.detail ?? '', /removed from outside/)
    nothingLeft()
  })
})

describe('sleeping', () => {
  test('it sleeps when it was out of use for its idle time, to the millisecond', async () => {
    const instance = anInstance()
    const held = await hold(instance)
    await clock.advance(3_600_000)
    release(held)
    assert.equal(instance.view().sleepsAt, new Date(clock.now() + 300_000).toISOString())
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'idle')
    nothingLeft()
  })

  test('each request begins the idle time anew, from its last byte', async () => {
    const instance = anInstance()
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
    const instance = anInstance()
    release(await hold(instance))
    await clock.advance(200_000)
    release(await hold(instance))
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('a wake that nobody waits for any more idles from ready on', async () => {
    const instance = anInstance()
    await instance.wake('asked', never)
    await clock.advance(299_999)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('with idleAfter never it never sleeps', async () => {
    const instance = anInstance(aTask({ sleep: { ...aTask().sleep, idleAfter: 'never' } }))
    release(await hold(instance))
    await clock.advance(90 * 86_400_000)
    assert.equal(instance.phase, 'awake')
    assert.equal(instance.view().sleepsAt, null)
  })

  test('an idle time of a month is kept', async () => {
    const instance = anInstance(aTask({ sleep: { ...aTask().sleep, idleAfter: duration('30d') } }))
    release(await hold(instance))
    await clock.advance(30 * 86_400_000 - 1)
    assert.equal(instance.phase, 'awake')
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
  })

  test('an open WebSocket keeps it awake, and its closing lets it sleep', async () => {
    const instance = anInstance()
    const held = await hold(instance, { kind: 'websocket' })
    await clock.advance(86_400_000)
    assert.equal(instance.phase, 'awake')
    release(held)
    await clock.advance(300_000)
    assert.equal(instance.phase, 'asleep')
  })

  test('an app that ignores WebSockets sleeps under an open one', async () => {
    const instance = anInstance(aTask({ sleep: { ...aTask().sleep, webSockets: 'ignore' } }))
    const held = await hold(instance, { kind: 'websocket' })
    assert.equal(instance.view().holds[0]?.kind, 'websocket')
    await clock.advance(300_000)
    assert.equal(instance.phase, 'asleep')
    release(held)
  })

  test('a hold released twice is a bug that is thrown', async () => {
    const instance = anInstance()
    const held = await hold(instance)
    release(held)
    assert.throws(() => release(held), /released twice/)
  })

  test('a request that comes in the moment of its sleep calls the sleep off', async () => {
    const instance = anInstance()
    let coming: Promise<Held> | undefined
    const after = clock.after.bind(clock)
    clock.after = (ms, callback) =>
      after(ms, () => {
        callback()
        coming ??= hold(instance) // the alarm has rung, the sleep has not begun
      })
    await instance.wake('asked', never)
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
      const instance = anInstance(aTask(), {
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
    const instance = anInstance()
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
    const instance = anInstance()
    await instance.sleep('asked')
    assert.equal(runtime.calls.length, 0)
  })
})

describe('stuck', () => {
  test('a disk that will not unmount is never detached; what is held is told, and the next wake takes it up first', async () => {
    const instance = anInstance()
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

  test('a stuck app is mended by looking again, or by an asked sleep', async () => {
    const instance = anInstance()
    release(await hold(instance))
    volumes.failures.set('detach', new Error('busy'))
    await assert.rejects(instance.sleep('asked'), error => isFailure(error, 'app-stuck'))
    await assert.rejects(
      instance.look(clock.now() + 1, [], () => undefined),
      error => isFailure(error, 'app-stuck'),
    )
    volumes.failures.clear()
    await instance.sleep('asked')
    assert.equal(instance.phase, 'asleep')
    nothingLeft()
  })

  test('a failed wake that cannot be undone tells the failure first, and is stuck', async () => {
    volumes.failures.set('mount', new ShadowError('volume-broken', 'bad disk'))
    volumes.failures.set('detach', new Error('busy'))
    const instance = anInstance()
    await assert.rejects(hold(instance), error => isFailure(error, 'volume-broken'))
    await settled()
    assert.equal(instance.phase, 'stuck')
  })
})

describe('a new revision', () => {
  test('those in flight finish on the old one, those who come wait for the new one', async () => {
    const instance = anInstance()
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

  test('those in flight have 30 seconds, and where nobody waits the app stays asleep', async () => {
    const instance = anInstance()
    const old = await hold(instance)
    instance.define(aTask({ revision: 2 }))
    await clock.advance(29_999)
    assert.equal(runtime.count('stop'), 0)
    await clock.advance(1)
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'updated')
    release(old)
  })

  test('one that comes during a wake ends that wake, and those who wait get the new one', async () => {
    slowReady()
    const instance = anInstance()
    const waiting = hold(instance)
    await settled()
    becomeReady = async () => undefined
    instance.define(aTask({ revision: 2 }))
    await waiting
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('one that comes in the moment in which the old one is ready replaces it', async () => {
    const instance = anInstance(aTask(), { onReady: () => instance.define(aTask({ revision: 2 })) })
    release(await hold(instance))
    await settled()
    release(await hold(instance))
    assert.equal(runtime.running()[0]?.revision, 2)
    assert.equal(runtime.containers.size, 1)
  })

  test('the same revision again changes nothing', async () => {
    const instance = anInstance()
    release(await hold(instance))
    instance.define(aTask())
    await settled()
    assert.equal(instance.phase, 'awake')
  })
})

describe('closing', () => {
  const bye = new ShadowError('shutting-down', 'this node is stopping')

  test('a wake under way is undone, and those who wait are told', async () => {
    slowReady()
    const instance = anInstance()
    const waiting = hold(instance)
    waiting.catch(() => undefined)
    await settled()
    await instance.close(bye, 'shutdown', { sleep: false })
    await assert.rejects(waiting, error => isFailure(error, 'shutting-down'))
    nothingLeft()
    await assert.rejects(hold(instance), error => isFailure(error, 'shutting-down'))
  })

  test('an awake app goes on running when it is not put to sleep, with no timer left', async () => {
    const instance = anInstance()
    release(await hold(instance))
    await instance.close(bye, 'shutdown', { sleep: false })
    assert.equal(runtime.running().length, 1)
    assert.equal(clock.waiting, 0)
    await settled()
    assert.equal(lost, 0)
  })

  test('an awake app is put to sleep when that is wanted', async () => {
    const instance = anInstance()
    release(await hold(instance))
    await instance.close(bye, 'shutdown', { sleep: true })
    nothingLeft()
    assert.equal(instance.view().stoppedBy, 'shutdown')
  })
})

test('followers see each phase, and end with their signal', async () => {
  const instance = anInstance()
  const done = new AbortController()
  const seen: string[] = []
  const following = (async () => {
    for await (const { phase } of instance.follow(done.signal)) if (seen.at(-1) !== phase) seen.push(phase)
  })()
  const ready = slowReady()
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
