import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { anApp } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

async function shadow(words: readonly string[], uses: readonly string[] = ['db'], changes = 0) {
  let left = changes
  await using master = await fakeMaster({
    getApp: () => ({ ...anApp(), task: { ...anApp().task, uses } }),
    updateApp: ({ body }) => {
      if (left-- > 0) throw new ShadowError('changed', 'somebody else was quicker')
      return { ...anApp(), task: { ...anApp().task, revision: 7, pinned: undefined, ...(body as object) } }
    },
    listApps: () => ({ items: [anApp()], next: null }),
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(words, terminal)
  const sent = master.calls.filter(({ name }) => name === 'updateApp').map(({ body }) => body)
  return { exit, err: terminal.stderr, sent }
}

test('shadow attach lets the app use more apps, after those that it has', async () => {
  const { exit, err, sent } = await shadow(['attach', 'blog', 'cache', 'db', 'queue'])
  assert.deepEqual([exit, sent], [0, [{ uses: ['db', 'cache', 'queue'] }]])
  assert.match(err, /blog uses db, cache, queue from revision 7 on/)
})

test('shadow detach takes them away', async () => {
  const { exit, err, sent } = await shadow(['detach', 'blog', 'db'], ['db', 'cache'])
  assert.deepEqual([exit, sent], [0, [{ uses: ['cache'] }]])
  assert.match(err, /blog uses cache from revision 7 on/)
})

test('shadow detach of an app that is not used changes nothing', async () => {
  const { exit, err, sent } = await shadow(['detach', 'blog', 'cache'])
  assert.deepEqual([exit, sent], [3, []])
  assert.match(err, /blog does not use cache/)
})

test('a change that somebody else made in between is kept: it is read again', async () => {
  const { exit, sent } = await shadow(['attach', 'blog', 'cache'], ['db'], 1)
  assert.deepEqual([exit, sent.length], [0, 2])
})
