import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { Turns } from '../lib/turns.ts'
import { appName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, releaseOf, settled } from '../testing/instance-environment.ts'

test('a container is started in its turn, which ends when the app is ready or a second later', async () => {
  const environment = new InstanceEnvironment()
  const { clock, runtime } = environment
  environment.starts = new Turns(1)
  const first = environment.slowReady()
  const one = hold(environment.anInstance(releaseOf(1, { app: appName('one') })))
  await settled()
  const second = environment.slowReady()
  const two = hold(environment.anInstance(releaseOf(1, { app: appName('two') })))
  await settled()
  assert.equal(runtime.count('start'), 1)
  await clock.advance(999)
  assert.equal(runtime.count('start'), 1)
  await clock.advance(1)
  assert.equal(runtime.count('start'), 2, 'one waits for something else than a processor')
  const three = hold(environment.anInstance(releaseOf(1, { app: appName('three') })))
  await settled()
  assert.equal(runtime.count('start'), 2)
  first.resolve()
  second.resolve()
  for (const held of [one, two, three]) release(await held)
  assert.equal(runtime.count('start'), 3)
})

test('the time that a start may take begins with its turn', async () => {
  const environment = new InstanceEnvironment()
  const starts = new Turns(1)
  environment.starts = starts
  const turn = await starts.take(appName('other'), new AbortController().signal)
  const held = hold(environment.anInstance(aTask()))
  await environment.clock.advance(120_000)
  turn[Symbol.dispose]()
  release(await held)
})

test('a sleep that is asked for ends a wait for a turn, and leaves nothing', async () => {
  const environment = new InstanceEnvironment()
  const starts = new Turns(1)
  environment.starts = starts
  const turn = await starts.take(appName('other'), new AbortController().signal)
  const instance = environment.anInstance(
    aTask({ volume: { id: volumeId('blog'), size: size('32MiB'), path: '/data' } }),
  )
  const gone = new AbortController()
  const held = hold(instance, {}, gone.signal)
  held.catch(() => undefined)
  await settled()
  assert.equal(starts.waiting, 1)
  await instance.end('asked', 'hard', new ShadowError('app-asleep', 'put to sleep'))
  await assert.rejects(held)
  assert.equal(starts.waiting, 0)
  environment.nothingLeft()
  turn[Symbol.dispose]()
})
