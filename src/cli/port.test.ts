import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { TcpPort } from '../model/tcp.ts'
import { anApp } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const HAS: readonly TcpPort[] = [{ port: 22, listen: 10_022 }]
const AT = '2027-01-15T01:00:00.000Z'

async function shadow(...words: string[]) {
  await using master = await fakeMaster({
    getApp: () => ({ ...anApp(), tcp: HAS }),
    setTcp: ({ body }) => ({ ...anApp(), tcp: body }),
    getTcp: () => ({
      ports: HAS,
      fronts: [
        { front: 'f1', at: AT, ports: [{ listen: 10_022, app: 'blog' }] },
        { front: 'f2', at: AT, ports: [{ listen: 10_022, app: 'blog', problem: 'it is in use' }] },
      ],
    }),
    listApps: () => ({ items: [anApp()], next: null }),
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(words, terminal)
  const sent = master.calls.find(({ name }) => name === 'setTcp')
  return { exit, out: terminal.stdout, err: terminal.stderr, sent: sent?.body, ifMatch: sent?.ifMatch }
}

for (const [flags, port] of [
  [['5432'], { port: 5_432, listen: 15_432 }],
  [['60000', '--listen', '15000'], { port: 60_000, listen: 15_000 }],
  [['5432', '--idle', '1h', '--connections', '5'], { port: 5_432, listen: 15_432, idle: '1h', connections: 5 }],
] as const)
  test(`shadow port add blog ${flags.join(' ')}`, async () => {
    const { exit, sent, ifMatch } = await shadow('port', 'add', 'blog', ...flags)
    assert.deepEqual([exit, sent, ifMatch], [0, [...HAS, port], '"1"'])
  })

test('a port that is added again is changed', async () => {
  const { sent } = await shadow('port', 'add', 'blog', '2222', '--listen', '10022')
  assert.deepEqual(sent, [{ port: 2_222, listen: 10_022 }])
})

test('shadow port ls says which fronts have opened it', async () => {
  const { out } = await shadow('port', 'ls', 'blog')
  assert.match(out, /10022 +22 +never +100 +f1: open; f2: not open since 2027-01-15T01:00:00\.000Z: it is in use/)
})

test('shadow port rm takes one away, or all', async () => {
  assert.deepEqual((await shadow('port', 'rm', 'blog', '10022')).sent, [])
  assert.deepEqual((await shadow('port', 'rm', 'blog', '--all')).sent, [])
  const none = await shadow('port', 'rm', 'blog', '1')
  assert.deepEqual([none.exit, none.sent], [3, undefined])
  assert.match(none.err, /blog has no port 1 of the fronts/)
})

for (const wrong of [['0'], ['x'], ['60000'], ['1', '--idle', 'soon'], ['1', '--connections', '0']])
  test(`shadow port add blog ${wrong.join(' ')} is refused`, async () => {
    const { exit, sent } = await shadow('port', 'add', 'blog', ...wrong)
    assert.deepEqual([exit, sent], [2, undefined])
  })
