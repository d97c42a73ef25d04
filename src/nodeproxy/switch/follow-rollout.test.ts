import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { aTask } from '../../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../../testing/instance-environment.ts'
import type { Instance } from '../instance.ts'
import { followRollout } from './follow-rollout.ts'

let environment: InstanceEnvironment
beforeEach(() => {
  environment = new InstanceEnvironment()
})

const releaseOf = (revision: number): TaskDefinition => aTask({ revision, volume: undefined })

/** What whoever waits for a revision is told, in words. */
async function told(instance: Instance, revision: number, { wake = false, signal = AbortSignal.timeout(5_000) } = {}) {
  const lines: string[] = []
  for await (const one of followRollout(instance, { revision, wake }, signal))
    lines.push(
      'stage' in one ? one.stage : `${one.outcome}, ${one.serves} serves${one.problem ? `: ${one.problem.code}` : ''}`,
    )
  return lines
}

async function anAwake(): Promise<Instance> {
  const instance = environment.anInstance(releaseOf(1))
  release(await hold(instance))
  return instance
}

describe('whoever waits for a release', () => {
  test('is told each stage, and at last that it serves', async () => {
    const instance = await anAwake()
    const old = await hold(instance)
    instance.define(releaseOf(2))
    const stages = ['checking', 'starting', 'ready', 'switched', 'draining']
    assert.deepEqual(await told(instance, 2), [...stages, 'serves, 2 serves'])
    release(old)
  })

  test('of an app with a volume is not told that it sleeps between its two releases', async () => {
    const instance = environment.anInstance(aTask({ revision: 1 }))
    release(await hold(instance))
    const detaching = environment.runtime.gate('stop')
    instance.define(aTask({ revision: 2, env: { A: '2' } }))
    const waiting = told(instance, 2)
    await settled()
    detaching.open()
    const stages = ['checking', 'holding', 'starting', 'ready', 'switched']
    assert.deepEqual(await waiting, [...stages, 'serves, 2 serves'])
  })

  test('is told that it sleeps if it is put to sleep in the middle of a switch', async () => {
    const instance = environment.anInstance(aTask({ revision: 1 }))
    release(await hold(instance))
    const held = await hold(instance)
    instance.define(aTask({ revision: 2, env: { A: '2' } }))
    const waiting = told(instance, 2)
    await settled()
    const asleep = instance.sleep('asked')
    release(held)
    await asleep
    assert.equal((await waiting).at(-1), 'asleep, null serves')
  })

  test('and comes late is told all of it at once', async () => {
    const instance = await anAwake()
    instance.define(releaseOf(2))
    await settled()
    assert.equal((await told(instance, 2)).at(-1), 'serves, 2 serves')
  })

  test('is told why it is rejected, and what serves on', async () => {
    const instance = await anAwake()
    const ready = environment.slowReady()
    instance.define(releaseOf(2))
    const waiting = told(instance, 2)
    await settled()
    ready.reject(new ShadowError('app-not-ready', 'no answer'))
    assert.deepEqual(await waiting, ['checking', 'starting', 'rejected', 'rejected, 1 serves: app-not-ready'])
  })

  test('is told of a newer one', async () => {
    const instance = await anAwake()
    environment.slowReady()
    instance.define(releaseOf(2))
    const waiting = told(instance, 2)
    await settled()
    instance.define(releaseOf(3))
    assert.equal((await waiting).at(-1), 'superseded, 1 serves')
  })

  test('of an app that sleeps wakes nothing', async () => {
    const instance = environment.anInstance(releaseOf(2))
    assert.deepEqual(await told(instance, 2), ['asleep, null serves'])
    assert.equal(environment.runtime.count('create'), 0)
  })

  test('of an app that sleeps wakes it, if that is asked for', async () => {
    const instance = environment.anInstance(releaseOf(2))
    assert.deepEqual(await told(instance, 2, { wake: true }), ['starting', 'ready', 'switched', 'serves, 2 serves'])
  })

  test('is told if the wake fails through a fault of the app, or of the machine', async () => {
    for (const [code, outcome] of [
      ['app-crashed', 'rejected'],
      ['runtime-unreachable', 'failed'],
    ] as const) {
      const instance = environment.anInstance(releaseOf(2))
      const gate = environment.runtime.gate('start')
      const waiting = told(instance, 2, { wake: true })
      await settled()
      gate.fail(new ShadowError(code, 'no'))
      assert.equal((await waiting).at(-1), `${outcome}, null serves: ${code}`)
    }
  })

  test('has waited in vain when the time is over', async () => {
    const instance = await anAwake()
    environment.slowReady()
    instance.define(releaseOf(2))
    const over = new AbortController()
    const waiting = told(instance, 2, { signal: over.signal })
    await settled()
    over.abort()
    assert.equal((await waiting).at(-1), 'late, null serves')
  })
})
