import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import { growsOnly } from './grows-only.ts'

const larger = (changes: Partial<TaskDefinition> = {}, bytes = '64MiB'): TaskDefinition => {
  const { volume } = aTask()
  assert.ok(volume !== undefined)
  const grown = { ...volume, size: size(bytes) }
  return aTask({ revision: 2, createdAt: '2026-01-02T00:00:00.000Z', volume: grown, ...changes })
}

async function awake() {
  const world = new InstanceEnvironment()
  const instance = world.anInstance()
  release(await hold(instance))
  const run = instance.running?.container.id
  return { world, instance, run }
}

test('an app that is awake runs on while its volume is made larger', async () => {
  const { world, instance, run } = await awake()
  instance.define(larger())
  await instance.settled()
  await settled()
  assert.deepEqual([instance.phase, instance.running?.container.id], ['awake', run])
  assert.equal(world.volumes.made.get('blog' as never), 64 * 2 ** 20)
  assert.equal(instance.view().revision, 2)
  assert.match(world.journal.join('\n'), /volume grown to 64MiB while the app ran/)
  assert.deepEqual(world.volumes.wrongs, [])

  // The same definition again, as a node reads it, changes nothing.
  instance.define(larger())
  await settled()
  assert.equal(instance.running?.container.id, run)
})

test('a revision that changes something else too is run anew', async () => {
  const { world, instance, run } = await awake()
  instance.define(larger({ env: { NEW: 'yes' } }))
  await instance.settled()
  await settled()
  release(await hold(instance))
  assert.notEqual(instance.running?.container.id, run)
  assert.equal(world.volumes.made.get('blog' as never), 64 * 2 ** 20)
})

test('a driver that has to detach the volume for that has its app run anew', async () => {
  const { world, instance, run } = await awake()
  Object.assign(world.volumes, { growAttached: undefined })
  instance.define(larger())
  await instance.settled()
  await settled()
  release(await hold(instance))
  assert.notEqual(instance.running?.container.id, run)
})

test('where the machine may not grow a mounted filesystem, the app is run anew', async () => {
  const { world, instance, run } = await awake()
  world.volumes.mayGrowMounted = false
  instance.define(larger())
  await instance.settled()
  await settled()
  release(await hold(instance))
  assert.notEqual(instance.running?.container.id, run)
})

test('an app whose volume cannot become so large runs on with the one that it has, and its log says why', async () => {
  const { world, instance, run } = await awake()
  world.volumes.failures.set('grow', new ShadowError('disk-full', 'the disk is full', { hint: 'free some' }))
  instance.define(larger())
  await instance.settled()
  await settled()
  assert.deepEqual([instance.phase, instance.running?.container.id], ['awake', run])
  assert.match(world.journal.join('\n'), /volume not grown to 64MiB, and used as it is: the disk is full \(free some\)/)
})

test('a revision that came while the volume was made larger is applied too', async () => {
  const { world, instance, run } = await awake()
  instance.define(larger())
  instance.define(larger({ revision: 3, createdAt: '2026-01-03T00:00:00.000Z' }, '96MiB'))
  await instance.settled()
  await settled()
  assert.equal(instance.running?.container.id, run)
  assert.equal(world.volumes.made.get('blog' as never), 96 * 2 ** 20)
})

test('only a larger volume is a growth', () => {
  const old = aTask()
  assert.equal(growsOnly(old, larger()), true)
  assert.equal(growsOnly(old, { ...larger(), revision: 9 }), true)
  assert.equal(growsOnly(old, larger({}, '32MiB')), false)
  assert.equal(growsOnly(old, larger({ image: 'other' })), false)
  assert.equal(growsOnly(old, larger({ pinned: { id: 'sha256:2' } })), false)
  assert.equal(growsOnly(old, larger({ volume: undefined })), false)
  assert.equal(growsOnly(old, { ...larger(), createdAt: old.createdAt }), false, 'taken over from an earlier run')
  const resolved = aTask({ port: 3000, portFrom: 'image', pinned: { id: 'sha256:1' } })
  assert.equal(growsOnly(resolved, larger({ portFrom: 'image', pinned: { id: 'sha256:1' } })), true)
})
