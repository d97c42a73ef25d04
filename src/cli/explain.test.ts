import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { InstanceView } from '../model/instance.ts'
import type { NodeName } from '../model/names.ts'
import type { Placement } from '../model/placement.ts'
import { explain } from './explain.ts'

const NOW = Date.parse('2026-11-21T12:00:00Z')
const URLS = ['http://blog.localhost:8090/']

const appThat = (idleAfter: string, keep?: string): App =>
  ({
    name: 'blog',
    domains: ['blog.localhost'],
    task: { sleep: { idleAfter, keep, grace: '10s', webSockets: 'hold' } },
  }) as unknown as App

const instance = (change: Partial<InstanceView>): InstanceView =>
  ({
    app: 'blog',
    node: 'n1',
    phase: 'awake',
    since: '2026-11-21T11:57:00Z',
    revision: 1,
    waiting: 0,
    holds: [],
    sleepsAt: null,
    wokenBy: null,
    stoppedBy: null,
    lastWake: null,
    badAnswer: null,
    held: [],
    problem: null,
    failures: 0,
    retryAt: null,
    container: null,
    ...change,
  }) as InstanceView

const why = (change: Partial<InstanceView> | undefined, idleAfter = '5m', urls = URLS): readonly string[] =>
  explain(appThat(idleAfter), change && instance(change), urls, NOW)

test('an app that is in use: what woke it, every use that keeps it awake, and when it may sleep', () => {
  const holds = [
    { kind: 'request', what: 'GET /film from 203.0.113.7', since: '2026-11-21T11:58:00Z' },
    { kind: 'websocket', what: 'GET /chat from 203.0.113.8', since: '2026-11-21T11:59:58Z' },
  ] as const
  const lastWake = { ms: 311, steps: { start: 240 } }
  assert.deepEqual(why({ wokenBy: 'GET / from 203.0.113.7', lastWake, holds }), [
    'blog is awake on n1 since 2026-11-21T11:57:00Z (3m).',
    'It was woken by GET / from 203.0.113.7.',
    'That wake took 311 ms: start 240.',
    '2 uses keep it awake:',
    '  request GET /film from 203.0.113.7, for 2m',
    '  websocket GET /chat from 203.0.113.8, for 2s',
    'It sleeps 5m after the last of them has ended.',
  ])
})

test('an app that nobody uses: when it sleeps', () => {
  assert.deepEqual(why({ sleepsAt: '2026-11-21T12:01:30Z' }).slice(1), [
    'Nobody uses it: it sleeps in 1m30s, at 2026-11-21T12:01:30Z, if nothing comes.',
  ])
})

test('an app that is kept frozen: when it is frozen, and for how long', () => {
  const kept = (change: Partial<InstanceView>) => explain(appThat('5m', 'frozen'), instance(change), URLS, NOW).slice(1)
  const freezesAt = '2026-11-21T12:01:30Z'
  assert.deepEqual(kept({ freezesAt }), [
    `Nobody uses it: it is frozen at ${freezesAt}, if nothing comes, and stays so.`,
  ])
  const holds = [{ kind: 'request', what: 'GET /film', since: '2026-11-21T11:58:00Z' }] as const
  assert.equal(kept({ holds }).at(-1), 'It is frozen, and stays so, 5m after the last of them has ended.')
  assert.equal(kept({ phase: 'frozen' })[1], 'It stays so until its node needs its memory (--keep).')
})

test('an app that is suspended because its machine was short of memory: that, and when it sleeps', () => {
  assert.deepEqual(why({ phase: 'suspended', frozenBy: 'memory', sleepsAt: '2026-11-21T12:01:30Z' }).slice(1, 4), [
    'Nobody uses it: its processes are stopped where they are, and their memory is in the swap of its machine.',
    'Its machine was short of memory.',
    'It sleeps at 2026-11-21T12:01:30Z, if nothing comes.',
  ])
})

test('an app that tried to reach another one: that it was refused, when, and what works', () => {
  const refusedConnections = { at: '2026-11-21T11:59:00Z', count: 2 }
  const [, , told = ''] = why({ sleepsAt: '2026-11-21T12:01:30Z', refusedConnections })
  assert.match(
    told,
    /another app, a private network, or an address that its egress does not name, and was refused, the last time at 2026-11-21T11:59:00Z/,
  )
  assert.match(told, /shadow update blog --egress NETWORK/)
})

test('an app that was refused hosts: which, how often, and what would allow the last one', () => {
  const at = '2026-11-21T11:59:00Z'
  const why_ = 'its egress does not name it'
  const refusedNames = [
    { to: '203.0.113.7:80', why: 'it is not the name of a host', at, count: 1 },
    { to: 'evil.example:443', why: why_, at, count: 3 },
    { to: 'c2!.evil', why: why_, at, count: 1 },
    { to: 'api.example:443', why: 'there is no such host', at, count: 1 },
  ]
  const told = why({ sleepsAt: '2026-11-21T12:01:30Z', refusedNames })
  assert.deepEqual(told.slice(-5), [
    `Egress to 203.0.113.7:80 was refused at ${at}: it is not the name of a host.`,
    `Egress to evil.example:443 was refused 3 times, the last at ${at}: its egress does not name it.`,
    `Egress to c2!.evil was refused at ${at}: its egress does not name it.`,
    `Egress to api.example:443 was refused at ${at}: there is no such host.`,
    'To allow evil.example: shadow egress add blog evil.example',
  ])
})

test('an app that is never to sleep: that its definition says so', () => {
  assert.deepEqual(why({}, 'never').slice(1), ['Its definition says never to sleep (--idle-after never).'])
})

for (const [stoppedBy, sentence] of [
  ['idle', 'It went to sleep because nobody used it for 5m.'],
  ['asked', 'It went to sleep because somebody asked for it.'],
  ['updated', 'It was stopped because its definition changed.'],
  ['shutdown', 'It was put to sleep because its node was stopped.'],
  ['died', 'Its container ended by itself.'],
  ['restored', 'It was put to sleep because its volume was restored.'],
  ['lease-lost', 'It was stopped because its node could keep the volume no longer.'],
] as const) {
  test(`an app that sleeps (${stoppedBy}): why, and what wakes it`, () => {
    assert.deepEqual(why({ phase: 'asleep', stoppedBy }).slice(1), [
      sentence,
      'The next request to http://blog.localhost:8090/ wakes it.',
    ])
  })
}

test('an app that never ran, and has no domain: how to wake it', () => {
  assert.deepEqual(why(undefined, '5m', []), [
    'blog is asleep: nobody has used it yet.',
    'It has no domain: shadow wake wakes it.',
  ])
})

test('an app that is being woken: by what, and how many wait', () => {
  assert.deepEqual(why({ phase: 'waking', since: '2026-11-21T11:59:59Z', wokenBy: 'GET /', waiting: 2 }), [
    'blog is waking on n1 since 2026-11-21T11:59:59Z (1s).',
    'It was woken by GET /.',
    '2 requests wait for it.',
  ])
})

test('an app that crashed: with what, how often, and when a request tries again', () => {
  const problem = new ShadowError(
    'app-crashed',
    'blog ended with exit code 1; its last lines:\nno database',
  ).toProblem()
  assert.deepEqual(why({ phase: 'crashed', problem, failures: 3, retryAt: '2026-11-21T12:00:08Z' }).slice(1), [
    'blog ended with exit code 1; its last lines:\nno database',
    'It failed 3 times in a row.',
    'A request may try again in 8s, at 2026-11-21T12:00:08Z.',
  ])
  assert.equal(why({ phase: 'crashed', failures: 1 }).at(-1), 'The next request tries again.')
})

test('an app that is stuck: what it still holds, and why', () => {
  const problem = new ShadowError('app-stuck', 'umount: /data is busy').toProblem()
  assert.deepEqual(why({ phase: 'stuck', held: ['volume', 'mount'], problem }).slice(1), [
    'It still holds volume, mount.',
    'umount: /data is busy',
    'The next wake or shadow sleep tries again to let go of it.',
  ])
})

for (const [title, placement, said] of [
  ['the only node there is', { node: 'n1', reason: 'only-node', rejected: [] }, ''],
  [
    'a node that has the image',
    { node: 'n1', reason: 'image', rejected: [] },
    'It would wake on n1, since it has the image.',
  ],
  [
    'a node that others leave alone',
    { node: 'n2', reason: 'only-node', rejected: [{ node: 'n1', reason: 'unhealthy' }] },
    'It would wake on n2, since no other node can take it: n1 is not healthy.',
  ],
  [
    'no node',
    { rejected: [{ node: 'n1', reason: 'too-small' }] },
    'No node can take it now: n1 has less memory than it reserves.',
  ],
] as const)
  test(`of an app that sleeps it is said where it would wake: ${title}`, () => {
    const sentences = explain(
      appThat('5m'),
      instance({ phase: 'asleep' }),
      URLS,
      NOW,
      placement as unknown as Placement<NodeName>,
    )
    assert.equal(sentences.filter(one => /would wake|can take/.test(one)).join(), said)
  })
