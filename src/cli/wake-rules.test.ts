import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ignoreRule, type WakeRules } from '../model/wake-rules.ts'
import { anApp } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { instanceView } from '../testing/fake-node.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const rules: WakeRules = { ignore: [ignoreRule('path:/wp-*'), ignoreRule('agent:a bot')], answers: ['/healthz'] }

async function shadow(words: readonly string[], wake?: WakeRules) {
  let app: Record<string, unknown> = { ...anApp(), ...(wake && { wake }) }
  const notWoken = [{ by: 'path:/wp-*', count: 3, at: '2026-11-29T10:00:00.000Z', what: 'GET /wp-a from 192.0.2.1' }]
  await using master = await fakeMaster({
    getApp: () => app,
    setWakeRules: ({ body }) => {
      app = { ...app, wake: body }
      return app
    },
    listApps: () => ({ items: [app], next: null }),
    getInstance: () => ({ ...instanceView('blog', 'a', 'asleep'), notWoken }),
    listInstances: () => ({ items: [], silent: [] }),
    getPlacement: () => ({ node: 'a', reason: 'only-node', rejected: [] }),
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run([...words], terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr, sent: master.calls.at(-1)?.body as WakeRules | undefined }
}

test('the rules are shown, and none is changed', async () => {
  const { exit, out } = await shadow(['wake-rules', 'blog'], rules)
  assert.equal(exit, 0)
  assert.match(out, /do not wake it +path:\/wp-\*\n +agent:a bot\n/)
  assert.match(out, /last answers +\/robots.txt\n +\/favicon.ico\n +\/healthz\n/)
  assert.match((await shadow(['wake-rules', 'blog'])).out, /nothing: every request wakes it/)
})

test('rules are added and taken away by what they say', async () => {
  const { exit, sent } = await shadow(
    [
      'wake-rules',
      'blog',
      '--ignore',
      'method:head path:/',
      '--forget',
      'agent:a bot',
      '--answer',
      '/up',
      '--forget',
      '/healthz',
    ],
    rules,
  )
  assert.equal(exit, 0)
  assert.deepEqual(sent, { ignore: [{ path: '/wp-*' }, { path: '/', method: 'HEAD' }], answers: ['/up'] })
  const cleared = await shadow(['wake-rules', 'blog', '--clear'], rules)
  assert.deepEqual(cleared.sent, { ignore: [], answers: [] })
})

test('all wrong flags are named, and a rule that is not there cannot be taken away', async () => {
  const wrong = await shadow(['wake-rules', 'blog', '--ignore', 'bots', '--answer', 'up'])
  assert.equal(wrong.exit, 2)
  assert.match(wrong.err, /--ignore: "bots" is not a rule/)
  assert.match(wrong.err, /--answer: "up" is not a plain path/)
  const absent = await shadow(['wake-rules', 'blog', '--forget', 'path:/x'], rules)
  assert.equal(absent.exit, 3)
  assert.match(absent.err, /it has no rule "path:\/x"/)
})

test('shadow why tells which requests did not wake the app', async () => {
  const { out } = await shadow(['why', 'blog'])
  assert.match(
    out,
    /Requests that did not wake it since its node started: 3, by\n {2}path:\/wp-\*: 3, the last at 2026-/,
  )
})
