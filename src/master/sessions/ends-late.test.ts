import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { lateMaster } from '../../testing/late-master.ts'
import { testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

test('a master that is late with the end of a session does not touch the one that was made under its name since', async () => {
  let heldAt = 0
  for (let isOver = false; !isOver; ) {
    heldAt++
    const clock = new HandClock()
    await using node = await fakeNode('n1')
    const storage = memoryStorage()
    const late = lateMaster(storage, key => key.includes('/editor--'))
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
