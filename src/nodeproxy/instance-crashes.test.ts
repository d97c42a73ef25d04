import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { Unwind } from '../lib/unwind.ts'
import type { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { FakeRuntime } from '../testing/fake-runtime.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../testing/instance-environment.ts'

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

describe('crashes', () => {
  test('a container that dies before it is ready ends the wait at once, with exit code and last lines', async () => {
    environment.slowReady()
    runtime.writes = ['no database']
    const instance = environment.anInstance()
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
    environment.nothingLeft()
  })

  for (let turns = 0; turns < 6; turns++)
    test(`a crash is told of as one, though somebody takes an inventory just then (${turns} turns later)`, async () => {
      const instance = environment.anInstance()
      release(await hold(instance))
      const found = runtime.running()
      await clock.advance(1)
      runtime.end(found[0]!, { exitCode: 3, outOfMemory: false })
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      const undo = new Unwind()
      undo.push('stop', () => runtime.remove(found[0]!))
      await instance.reconcile(clock.now(), found, () => undo)
      await settled()
      assert.deepEqual([instance.phase, instance.view().problem?.code], ['crashed', 'app-crashed'])
      environment.nothingLeft()
    })

  test('a container killed for its memory is told so', async () => {
    environment.slowReady()
    const instance = environment.anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 137, outOfMemory: true })
    await assert.rejects(
      hold(instance),
      error => isFailure(error, 'app-crashed') && /64MiB of memory/.test(error.message),
    )
  })

  test('the first retry is at once; from the third failure on each rest is twice the last, up to 5 minutes, and says so', async () => {
    environment.slowReady()
    const instance = environment.anInstance()
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
    environment.slowReady()
    const instance = environment.anInstance()
    runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
    for (let i = 0; i < 3; i++) {
      await assert.rejects(hold(instance))
      await settled()
    }
    await assert.rejects(hold(instance), /crash loop/)
    await assert.rejects(
      instance.wake({ says: 'asked', cause: 'person' }, never),
      error => !/crash loop/.test(String(error)),
    )
    await settled()
    runtime.onStart = () => undefined
    environment.becomeReady = async () => undefined
    await assert.rejects(hold(instance), /crash loop/)
    instance.define(aTask({ revision: 2 }))
    assert.equal(instance.phase, 'asleep')
    await hold(instance)
    assert.equal(instance.view().failures, 0)
  })

  test('an app that dies while awake is unwound, and the next request wakes it again', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance)
    runtime.end(runtime.running()[0]!, { exitCode: 1, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'crashed')
    assert.equal(instance.view().stoppedBy, 'died')
    environment.nothingLeft()
    release(held)
    await hold(instance)
    assert.equal(instance.phase, 'awake')
  })

  test('dying again and again right after it was ready is a crash loop; a minute of life is none', async () => {
    const instance = environment.anInstance()
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
    const instance = environment.anInstance()
    release(await hold(instance))
    runtime.end(runtime.running()[0]!, { exitCode: 1, outOfMemory: false })
    await settled()
    release(await hold(instance))
    assert.equal(instance.view().failures, 1)
    await instance.sleep('asked')
    assert.equal(instance.view().failures, 0)
  })

  test('an app that lived and ends by itself with 0 is asleep, not crashed', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    await clock.advance(60_000)
    runtime.end(runtime.running()[0]!, { exitCode: 0, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'asleep')
    assert.equal(instance.view().stoppedBy, 'died')
  })

  test('when the runtime loses sight of an app that still runs, it stays awake and is watched anew', async () => {
    const instance = environment.anInstance()
    const held = await hold(instance)
    const [container] = runtime.running()
    runtime.lose(container!)
    await settled()
    assert.equal(environment.lost, 1)
    assert.equal(instance.phase, 'awake')
    await instance.reconcile(clock.now() + 1, await runtime.leftBehind(), () => undefined)
    release(held)
    runtime.end(container!, { exitCode: 1, outOfMemory: false })
    await settled()
    assert.equal(instance.phase, 'crashed')
  })

  test('a container that was removed by hand is noticed', async () => {
    const instance = environment.anInstance()
    release(await hold(instance))
    runtime.containers.clear()
    await instance.reconcile(clock.now() + 1, [], () => undefined)
    await settled()
    assert.equal(instance.phase, 'crashed')
    assert.match(instance.view().problem?.detail ?? '', /removed from outside/)
    environment.nothingLeft()
  })
})
