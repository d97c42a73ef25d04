import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { isCode, register } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '128MiB' } }
const TEXT = 'kept through the move '.repeat(40_000)

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x', 'y'], joined: true })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})
afterEach(() => cluster.settle())

const letterOf = ({ headers }: Answer): string => (headers['x-shadow-node'] === cluster.nameOf('a') ? 'a' : 'b')
const other = (letter: string): string => (letter === 'a' ? 'b' : 'a')
const move = (app: string, letter: string) =>
  cluster.admin.call('moveApp', {
    params: { app },
    body: { to: cluster.nameOf(letter) },
    signal: AbortSignal.timeout(60_000),
  })

async function appWithData(app: string): Promise<string> {
  await register(cluster.admin, app, VOLUME)
  const answer = await cluster.at('x').ask(app, '/files/note', { method: 'PUT', body: TEXT })
  assert.equal(answer.status, 200, answer.text)
  return letterOf(answer)
}

test('an app moves with its data under load: it serves while it is copied, all requests are answered, and no write is lost', async () => {
  const home = await appWithData('blog')
  const large = randomBytes(40_000_000)
  assert.equal((await cluster.at('x').ask('blog', '/files/large', { method: 'PUT', body: large })).status, 200)
  const stopped = new AbortController()
  const answers: string[] = []
  const asking = ['x', 'y'].map(async front => {
    while (!stopped.signal.aborted) {
      const answer = await cluster.at(front).ask('blog', '/files/note')
      answers.push(answer.status === 200 && answer.text === TEXT ? letterOf(answer) : `${answer.status} ${answer.text}`)
      await wait(20)
    }
  })
  const kept: string[] = []
  const writing = (async () => {
    for (let n = 0; !stopped.signal.aborted; n++) {
      const body = `${n} ${TEXT}`
      const { status } = await cluster.at('x').ask('blog', `/files/${n % 20}`, { method: 'PUT', body })
      if (status === 200) kept[n % 20] = body
      await wait(20)
    }
  })()
  const served: string[] = []
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      const { move } = await cluster.admin.call('getMove', { params: { app: 'blog' } })
      if (move?.stage === 'copying') {
        const answer = await cluster.at('x').ask('blog', '/files/note')
        const after = await cluster.admin.call('getMove', { params: { app: 'blog' } })
        if (after.move?.stage === 'copying') served.push(letterOf(answer))
      }
      await wait(20)
    }
  })()
  await wait(500)
  const moved = await move('blog', other(home))
  assert.ok((moved.copiedBytes ?? 0) > large.length)
  assert.deepEqual([moved.moved, moved.from, moved.to], [true, cluster.nameOf(home), cluster.nameOf(other(home))])
  await wait(500)
  stopped.abort()
  await Promise.all([...asking, writing, watching])
  assert.deepEqual([...new Set(served)], [home], 'it was answered while it was copied')
  for (const [n, body] of kept.entries())
    assert.equal((await cluster.at('y').ask('blog', `/files/${n}`)).text, body, `the last acknowledged write of ${n}`)
  assert.deepEqual([...new Set(answers)], [home, other(home)])
  assert.deepEqual(await cluster.containers(home, 'blog'), [])

  assert.equal((await move('blog', other(home))).moved, false, 'it is there already')
  await move('blog', home)
  const answer = await cluster.at('x').ask('blog', '/files/note')
  assert.deepEqual([answer.text === TEXT, letterOf(answer)], [true, home])
})

test('a node that cannot take the app is refused, and one that dies meanwhile leaves it where it is', async () => {
  const home = await appWithData('blog')
  await register(cluster.admin, 'plain')
  await assert.rejects(move('plain', 'a'), isCode('bad-input'))
  await cluster.admin.call('cordonNode', { params: { node: cluster.nameOf(other(home)) } })
  await assert.rejects(move('blog', other(home)), isCode('node-cordoned'))
  await cluster.admin.call('uncordonNode', { params: { node: cluster.nameOf(other(home)) } })

  const resume = cluster.node(other(home)).pause()
  const moving = assert.rejects(move('blog', other(home)), isCode('node-unreachable'))
  await wait(200)
  await cluster.node(other(home)).end('SIGKILL')
  resume()
  await moving
  const answer = await cluster.at('y').ask('blog', '/files/note')
  assert.deepEqual([answer.status, answer.text === TEXT, letterOf(answer)], [200, true, home])
})
