import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'

const IDLE = { sleep: { idleAfter: '10s' } }
const SECOND = 1_000

describe('promise 4, an app not in use always sleeps, and why tells:', () => {
  for (const [idleAfter, ms] of [
    ['10s', 10 * SECOND],
    ['3h', 3 * 3600 * SECOND],
  ] as const) {
    test(`with an idle limit of ${idleAfter} it sleeps after ${idleAfter}, to the second`, async () => {
      await using shadow = await Shadow.start()
      await shadow.register('blog', { sleep: { idleAfter } })
      await shadow.ask('blog')
      const answered = shadow.clock.now()
      const { sleepsAt } = await shadow.until('blog', ({ holds }) => holds.length === 0)
      assert.ok(Math.abs(Date.parse(sleepsAt ?? '') - answered - ms) < SECOND)
      shadow.clock.leap(answered + ms - 5 * SECOND - shadow.clock.now())
      await shadow.spoken()
      assert.equal((await shadow.instance('blog')).phase, 'awake')
      shadow.clock.leap(answered + ms - shadow.clock.now())
      const { at } = await shadow.untilLogged('blog', /going to sleep: idle/)
      assert.ok(Math.abs(Date.parse(at) - answered - ms) < SECOND, at)
      await shadow.until('blog', 'asleep')
      assert.deepEqual(await shadow.containers('blog'), [])
    })
  }

  test('a WebSocket whose other end is gone without a word is found out and let go, and the app sleeps', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    await shadow.deadWebSocket('blog')
    await shadow.pass(40_000) // the client is pinged after 30 s and has 30 s to answer
    assert.deepEqual(
      (await shadow.instance('blog')).holds.map(({ kind }) => kind),
      ['websocket'],
    )
    await shadow.pass(25_000)
    await shadow.until('blog', ({ holds }) => holds.length === 0)
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
  })

  test('a check that may not wake it does not keep it awake either', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    await shadow.ask('blog')
    const { sleepsAt } = await shadow.until('blog', ({ holds }) => holds.length === 0)
    const check = () => shadow.ask('blog', '/', { headers: { 'x-shadow-wake': 'never' } })
    await shadow.pass(5_000)
    assert.equal((await check()).status, 200)
    await shadow.until('blog', ({ holds }) => holds.length === 0)
    assert.equal((await shadow.instance('blog')).sleepsAt, sleepsAt)
    await shadow.pass(5_000)
    await shadow.until('blog', 'asleep')
    assert.equal((await check()).status, 409)
    assert.equal((await shadow.instance('blog')).phase, 'asleep')
  })

  test('the instance tells what woke it, what keeps it awake, when it sleeps, and what stopped it', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    const never = await shadow.instance('blog')
    assert.deepEqual([never.phase, never.wokenBy, never.stoppedBy, never.sleepsAt], ['asleep', null, null, null])

    const socket = await shadow.webSocket('blog', '/talk?secret=1')
    const held = await shadow.instance('blog')
    assert.equal(held.wokenBy, 'GET /talk from 127.0.0.1')
    assert.deepEqual(
      held.holds.map(({ kind, what }) => [kind, what]),
      [['websocket', 'GET /talk from 127.0.0.1']],
    )
    assert.equal(held.sleepsAt, null)
    assert.ok((held.lastWake?.ms ?? 0) > 0 && (held.lastWake?.steps.start ?? 0) > 0)

    socket.close()
    await once(socket, 'close')
    const free = await shadow.until('blog', ({ holds }) => holds.length === 0)
    assert.ok(Math.abs(Date.parse(free.sleepsAt ?? '') - shadow.clock.now() - 10_000) < SECOND)

    await shadow.pass(10_000)
    assert.equal((await shadow.until('blog', 'asleep')).stoppedBy, 'idle')
    assert.equal((await shadow.wake('blog')).wokenBy, 'a person who asked')
    assert.equal((await shadow.sleep('blog')).stoppedBy, 'asked')
    await shadow.ask('blog')
    await promisify(execFile)('docker', ['kill', ...(await shadow.containers('blog'))])
    assert.equal((await shadow.until('blog', 'crashed')).stoppedBy, 'died')
    await shadow.ask('blog')
    await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { RELEASE: '2' } } })
    await shadow.until('blog', ({ revision }) => revision === 2)
    await shadow.pass(10_000)
    assert.equal((await shadow.until('blog', 'asleep')).stoppedBy, 'idle')
  })
})
