import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

const set = (app: string, body: object) => shadow.admin.call('setWakeRules', { params: { app }, body })

test('noise neither wakes an app nor keeps it awake, and the node tells which rule it was', async () => {
  await shadow.register('blog', { sleep: { idleAfter: '1m' } })
  await set('blog', { ignore: [{ path: '/wp-*' }, { agent: 'bot' }] })
  const noise = () => shadow.ask('blog', '/%77p-login.php', { headers: { 'user-agent': 'x' } })
  await shadow.eventually(async () => (await noise()).status === 409)
  assert.equal((await noise()).headers['x-shadow-error'], 'app-asleep')
  assert.equal((await shadow.ask('blog', '/', { headers: { 'user-agent': 'A Bot' } })).status, 409)
  assert.equal((await shadow.instance('blog')).phase, 'asleep')

  await shadow.ask('blog')
  const { sleepsAt } = await shadow.until('blog', ({ holds }) => holds.length === 0)
  assert.equal((await noise()).status, 404) // the app's own answer
  assert.equal((await shadow.until('blog', ({ holds }) => holds.length === 0)).sleepsAt, sleepsAt)
  await shadow.pass(60_000)
  const { notWoken } = await shadow.until('blog', 'asleep')
  assert.deepEqual(
    notWoken?.map(({ by, what }) => [by, what]),
    [
      ['agent:bot', 'GET / from 127.0.0.1'],
      ['path:/wp-*', 'GET /%77p-login.php from 127.0.0.1'],
    ],
  )
})

test('robots.txt is answered while the app sleeps, by what the app itself said', async () => {
  await shadow.register('shop')
  const own = await shadow.ask('shop', '/robots.txt')
  assert.equal(own.headers['x-shadow-answered'], undefined)
  await shadow.sleep('shop')
  const kept = await shadow.ask('shop', '/robots.txt')
  assert.deepEqual([kept.status, kept.text, kept.headers['x-shadow-state']], [200, own.text, 'asleep'])
  assert.equal((await shadow.instance('shop')).phase, 'asleep')
})
