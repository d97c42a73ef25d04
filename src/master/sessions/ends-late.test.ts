import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'

/** Holds the call of this number that reads or writes a document of a session, until it is released. */
function holding(storage: Storage) {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  let left = Number.POSITIVE_INFINITY
  const held = async (key: string): Promise<void> => {
    if (!key.includes('/editor--') || --left !== 0) return
    reached.resolve()
    await released.promise
  }
  return {
    storage: {
      ...storage,
      get: async key => {
        await held(key)
        return storage.get(key)
      },
      create: async (key, value) => {
        await held(key)
        return storage.create(key, value)
      },
      update: async (key, value, etag) => {
        await held(key)
        return storage.update(key, value, etag)
      },
    } satisfies Storage,
    /** Resolves once the call is held. */
    hold: (number: number): Promise<void> => {
      left = number
      return reached.promise
    },
    release: (): void => released.resolve(),
  }
}

test('a master that is late with the end of a session does not touch the one that was made under its name since', async () => {
  let heldAt = 0
  for (let isOver = false; !isOver; ) {
    heldAt++
    const clock = new HandClock()
    await using node = await fakeNode('n1')
    const storage = memoryStorage()
    const late = holding(storage)
    await using one = await testMaster(storage, clock)
    await using two = await testMaster(late.storage, clock)
    const { address, key, controlKey } = node
    const n1 = await one.as('node', 'n1')
    await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
    await one.admin.call('registerApp', {
      body: { name: 'editor', image: 'x', template: {}, volume: { size: '64MiB' } },
    })
    const connect = () => one.admin.call('connectSession', { body: { template: 'editor', key: { name: 'a' } } })
    const { session } = await connect()
    const hostname = `${session.slice('editor--'.length)}.editor.localhost`
    const { permit, createdAt } = await one.admin.call('getHost', { params: { hostname } })
    const atTwo = await two.as('node', 'n1')
    const held = late.hold(heldAt)
    const ending = atTwo
      .call('sessionEnded', {
        params: { session },
        body: { reason: 'crashed', createdAt },
        headers: { 'x-shadow-permit': permit },
      })
      .catch(error => {
        if (!isFailure(error, 'session-not-found', 'forbidden')) throw error
      })
    isOver = (await Promise.race([held, ending.then(() => 'over')])) === 'over'
    if (isOver) continue
    await one.admin.call('endSession', { params: { session }, query: { kind: 'hard' } }).catch(error => {
      if (!isFailure(error, 'session-not-found')) throw error
    })
    const anew = await connect()
    assert.deepEqual([anew.session, anew.spawned], [session, true], `held at call ${heldAt}`)
    late.release()
    await ending
    const { items } = await one.admin.call('listVolumes', {})
    assert.ok(
      items.some(({ app }) => app === session),
      `held at call ${heldAt}`,
    )
    assert.equal((await one.admin.call('getHost', { params: { hostname } })).name, session, `held at call ${heldAt}`)
    const { state, end } = await one.admin.call('getSession', { params: { session } })
    assert.deepEqual(
      [state === 'ended' || state === 'ending', end ?? undefined],
      [false, undefined],
      `held at call ${heldAt}`,
    )
  }
  assert.ok(heldAt > 4, `the end of a session takes ${heldAt - 1} calls`)
})
