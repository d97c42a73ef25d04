import assert from 'node:assert/strict'
import { test } from 'vitest'
import { shadow } from '../testing/cli.ts'

const wake = {
  id: 'n1.0000000002',
  at: '2026-11-29T12:00:00.000Z',
  kind: 'wake',
  instance: 'blog',
  node: 'n1',
  revision: 3,
  by: 'GET / from 203.0.113.7',
  outcome: 'ok',
  ms: 400,
  steps: [
    { step: 'attach', startMs: 0, ms: 100 },
    { step: 'image', startMs: 0, ms: 200 },
    { step: 'start', startMs: 200, ms: 200 },
  ],
}
const crash = {
  id: 'n1.0000000003',
  at: '2026-11-29T12:05:00.000Z',
  kind: 'crash',
  by: 'died',
  revision: 3,
  code: 'app-crashed',
  detail: 'blog ended with exit code 3; its last lines:\nno database',
}
const page = (...items: object[]) => ({ items, next: null, silent: [] })

test('events prints the newest at the bottom, each in one line', async () => {
  const { exit, terminal, calls } = await shadow('events blog -n 20 --kind wake,crash', {
    getTimeline: () => page(crash, wake),
  })
  assert.deepEqual([exit, calls[0]?.query], [0, { limit: '20', kind: 'wake,crash' }])
  const [head, first, second, ...rest] = terminal.stdout.trimEnd().split('\n')
  assert.match(head ?? '', /^TIME +KIND +RELEASE +CAUSE +OUTCOME +TOOK +DETAIL$/)
  assert.match(first ?? '', /^2026-11-29T12:00:00.000Z +wake +3 +GET \/ from 203.0.113.7 +ok +400ms$/)
  assert.match(second ?? '', /12:05:00.000Z +crash +3 +died +- +- +app-crashed: blog ended with exit code 3$/)
  assert.deepEqual(rest, [])
})

test('events tells of nodes that did not answer, and --json prints all of each event', async () => {
  const { terminal } = await shadow('events blog --json', {
    getTimeline: () => ({ ...page(crash), silent: ['n2'] }),
  })
  assert.deepEqual(JSON.parse(terminal.stdout), { events: [crash], silent: ['n2'] })
  assert.match(terminal.stderr, /what happened on n2 is missing/)
})

test('events --wake last draws the steps of the last wake side by side as they ran', async () => {
  const { terminal, calls } = await shadow('events blog --wake last', { getTimeline: () => page(wake) })
  assert.deepEqual(calls[0]?.query, { limit: '1', kind: 'wake' })
  const [head, attach, image, start] = terminal.stdout.split('\n')
  assert.match(head ?? '', /blog on n1, woken by GET \/ from 203.0.113.7: 400ms/)
  assert.equal(attach, `attach  ${'█'.repeat(10)}${' '.repeat(30)}  100ms`)
  assert.equal(image, `image   ${'█'.repeat(20)}${' '.repeat(20)}  200ms`)
  assert.equal(start, `start   ${' '.repeat(20)}${'█'.repeat(20)}  200ms`)
})

test('events --wake of an app that was never woken says how to find others', async () => {
  const { exit, terminal } = await shadow('events blog --wake last', { getTimeline: () => page() })
  assert.notEqual(exit, 0)
  assert.match(terminal.stderr, /no wake of blog is known.*\n.*shadow events blog --kind wake/s)
})
