import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

// The app runs as a user of its own, and would write beside its socket.
const AS_NOBODY = {
  command: ['node', '-e', 'process.setgid(1234); process.setuid(1234); import("/srv/app.mjs")'],
  env: { DATA: '/run/shadow' },
  sleep: { idleAfter: '10s' as const },
}

const say = (app: string, method: string, path: string, body?: object) =>
  shadow.ask(app, `/socket?method=${method}&path=${path}`, {
    method: 'POST',
    body: body === undefined ? '' : JSON.stringify(body),
  })

test('an app that says that it is busy is kept awake by its own word, over a restart of its node too', async () => {
  await shadow.register('blog', AS_NOBODY)
  const taken = await say('blog', 'PUT', '/v1/busy', { for: '10m', why: 'resizing 300 images' })
  assert.equal(taken.status, 200, taken.text)
  await shadow.pass(60_000)
  const { phase, holds } = await shadow.instance('blog')
  assert.deepEqual([phase, holds.map(({ kind, what }) => [kind, what])], ['awake', [['busy', 'resizing 300 images']]])

  await shadow.stop()
  await shadow.startAgain()
  assert.equal((await shadow.instance('blog')).holds[0]?.what, 'resizing 300 images')
  const state = await say('blog', 'GET', '/v1/instance')
  assert.deepEqual([state.json.app, state.json.phase, state.json.busy.length], ['blog', 'awake', 1])

  assert.equal((await say('blog', 'DELETE', '/v1/busy')).status, 204)
  await shadow.pass(10_000)
  await shadow.until('blog', 'asleep')
})

test('an app can ask to sleep, and can write nothing beside its socket', async () => {
  await shadow.register('shop', { ...AS_NOBODY, sleep: { idleAfter: 'never' } })
  const write = await shadow.ask('shop', '/files/x', { method: 'PUT', body: 'x' })
  assert.match(write.text, /EROFS|EACCES/)
  assert.equal((await say('shop', 'POST', '/v1/sleep')).status, 202)
  assert.equal((await shadow.until('shop', 'asleep')).stoppedBy, 'self')
})
