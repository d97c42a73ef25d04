import assert from 'node:assert/strict'
import { test } from 'vitest'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const NOW = Date.parse('2026-11-30T10:00:00Z')
const view = {
  session: 'editor--k4bq2lxwq7h3nd5a',
  template: 'editor',
  key: { name: 'notes.md', namespace: '' },
  state: 'ready',
  since: '2026-11-30T09:59:30.000Z',
  until: '2026-11-30T11:00:00.000Z',
  url: 'http://k4bq2lxwq7h3nd5a.editor.localhost/',
  users: ['ann'],
  node: 'n1',
  warm: false,
  end: null,
}

async function shadow(words: readonly string[], answers: Parameters<typeof fakeMaster>[0]) {
  await using master = await fakeMaster(answers)
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }, now: NOW })
  return { exit: await run(words, terminal), ...terminal, stdout: terminal.stdout, stderr: terminal.stderr }
}

test('connect sends what the flags say, and prints the URL', async () => {
  const bodies: unknown[] = []
  const answers = {
    connectSession: ({ body }: { body: unknown }) => {
      bodies.push(body)
      return { ...view, spawned: true, token: 't', statusUrl: '/v1/sessions/x/status', url: `${view.url}t/` }
    },
  }
  const words = ['session', 'connect', 'editor', '--key', 'notes.md', '--tag', '2', '--env', 'A=b=c', '--idle', '30s']
  words.push('--memory', '64MiB', '--cpus', '0.5', '--pool', 'disk=ssd')
  const { exit, stdout, stderr } = await shadow([...words, '--user', 'ann', '--lifetime', '1h'], answers)
  assert.equal(exit, 0, stderr)
  assert.equal(stdout, `${view.url}t/\n`)
  assert.match(stderr, /editor--k4bq2lxwq7h3nd5a is ready, and is new/)
  assert.deepEqual(bodies, [
    {
      template: 'editor',
      key: { name: 'notes.md', tag: '2' },
      spawn: {
        env: { A: 'b=c' },
        idle: '30s',
        lifetime: '1h',
        limits: { memory: '64MiB', cpus: 0.5 },
        pool: { disk: 'ssd' },
      },
      user: 'ann',
    },
  ])
})

test('connect names an image in place of a template, with what a template would say', async () => {
  const bodies: unknown[] = []
  const answers = {
    connectSession: ({ body }: { body: unknown }) => {
      bodies.push(body)
      return { ...view, spawned: true, token: 't', statusUrl: '/v1/sessions/x/status', url: `${view.url}t/` }
    },
  }
  const words = ['session', 'connect', '--image', 'python:3', '--command', 'exec python -m http.server', '--port', '80']
  words.push('--ready', 'http:/up', '--volume', '1GiB:/home', '--egress', 'none', '--ports', 'all')
  assert.equal((await shadow(words, answers)).exit, 0)
  const image = {
    ...{ image: 'python:3', command: ['sh', '-c', 'exec python -m http.server'], port: 80, ports: 'all' },
    ...{ ready: { kind: 'http', path: '/up' }, volume: { size: '1GiB', path: '/home' }, egress: ['none'] },
  }
  assert.deepEqual(bodies, [{ spawn: { env: {}, ...image } }])
  const neither = await shadow(['session', 'connect', '--key', 'a'], answers)
  assert.deepEqual([neither.exit, bodies.length], [2, 1])
  assert.match(neither.stderr, /neither a template nor an image/)
})

test('wrong flags are all told at once, and nothing is asked', async () => {
  const words = ['session', 'connect', 'editor', '--tag', 'v1', '--env', 'A', '--idle', 'soon']
  const { exit, stderr } = await shadow(words, { connectSession: () => assert.fail('the master was asked') })
  assert.equal(exit, 2)
  for (const flag of ['--key', '--env', '--idle']) assert.ok(stderr.includes(flag), stderr)
})

test('sessions are listed, shown and ended', async () => {
  const ls = await shadow(['session', 'ls'], { listSessions: () => ({ items: [view], next: null }) })
  assert.equal(
    ls.stdout,
    `SESSION                   KEY       STATE  FOR  NODE  ENDS-IN  USERS
editor--k4bq2lxwq7h3nd5a  notes.md  ready  30s  n1    1h       ann
`,
  )
  const end = { at: '2026-11-30T10:00:00.000Z', reason: 'crashed', kind: 'soft', exitCode: 3 }
  const ended = { ...view, state: 'ended', end }
  const shown = await shadow(['session', 'show', view.session], { getSession: () => ended })
  assert.match(shown.stdout, /^ended +crashed, soft, at 2026-11-30T10:00:00.000Z\nexit code +3$/m)
  const kinds: unknown[] = []
  const answers = {
    endSession: ({ query }: { query: Readonly<Record<string, unknown>> }) => {
      kinds.push(query['kind'])
      return ended
    },
  }
  assert.equal((await shadow(['session', 'end', view.session, '--hard'], answers)).exit, 0)
  assert.deepEqual(kinds, ['hard'])
  const revoked = await shadow(['session', 'revoke', 'editor', '--user', 'ann'], {
    revokeTokens: () => ({ revoked: 2 }),
  })
  assert.equal(revoked.stdout, '2 revoked\n')
})
