import assert from 'node:assert/strict'
import { test } from 'vitest'
import { egress } from '../model/egress.ts'
import type { TaskDefinition } from '../model/task.ts'
import { aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'
import { changesEgressOnly } from './egress-only.ts'

const LATER = { revision: 2, createdAt: '2026-01-02T00:00:00.000Z' }
const reaching = (...list: string[]) => ({ egress: list.map(egress) })
const next = (changes: Partial<TaskDefinition>): TaskDefinition => aTask({ ...LATER, ...changes })

async function awake(before: Partial<TaskDefinition>) {
  const world = new InstanceEnvironment()
  const instance = world.anInstance(aTask(before))
  release(await hold(instance))
  return { world, instance, run: instance.running?.container.id }
}

test('an app that is awake runs on while what it may reach is changed', async () => {
  const { world, instance, run } = await awake(reaching('api.example.com'))
  instance.define(next(reaching('api.example.com', '*.example.org')))
  await instance.settled()
  await settled()
  assert.deepEqual([instance.phase, instance.running?.container.id], ['awake', run])
  assert.deepEqual(world.runtime.egress, [{ id: run, list: ['api.example.com', '*.example.org'] }])
  assert.equal(instance.view().revision, 2)
  assert.match(world.journal.join('\n'), /may reach was changed while the app ran: api\.example\.com, \*\.example\.org/)

  // The same definition again, as a node reads it, changes nothing.
  instance.define(next(reaching('api.example.com', '*.example.org')))
  await settled()
  assert.equal(world.runtime.egress.length, 1)
})

test('where it cannot be changed, or something else changes too, the app is run anew', async () => {
  const failing = await awake(reaching('api.example.com'))
  failing.world.runtime.egressFailure = new Error('no iptables')
  const other = await awake(reaching('api.example.com'))
  const first = await awake({})
  for (const [{ instance, run }, changes] of [
    [failing, reaching('api.example.org')],
    [other, { ...reaching('api.example.org'), env: { NEW: 'yes' } }],
    [first, reaching('api.example.org')],
  ] as const) {
    instance.define(next(changes))
    await instance.settled()
    await settled()
    release(await hold(instance))
    assert.notEqual(instance.running?.container.id, run)
  }
})

test('only a change between lists with domains, or between lists without, needs no other container', () => {
  const only = (before: Partial<TaskDefinition>, after: Partial<TaskDefinition>) =>
    changesEgressOnly(aTask(before), next(after))
  assert.equal(only(reaching('a.example'), reaching('b.example', 'private')), true)
  assert.equal(only({}, reaching('private')), true)
  assert.equal(only(reaching('none'), {}), true)
  assert.equal(only(reaching('a.example'), reaching('none')), false)
  assert.equal(only({}, reaching('a.example')), false)
  assert.equal(only(reaching('a.example'), reaching('a.example')), false)
  assert.equal(only(reaching('a.example'), { ...reaching('b.example'), image: 'other' }), false)
  assert.equal(only(reaching('a.example'), { ...reaching('b.example'), pinned: { id: 'sha256:2' } }), false)
  assert.equal(changesEgressOnly(aTask(), aTask({ ...reaching('private'), revision: 2 })), false, 'taken over')
})
