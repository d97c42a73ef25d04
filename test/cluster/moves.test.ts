import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, test } from 'vitest'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { isCode, register } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '64MiB' } }
const TEXT = 'kept through the move '.repeat(40_000)

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
})
afterAll(() => built[Symbol.asyncDispose]())
beforeEach(async () => {
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x', 'y'], joined: true })
})
afterEach(() => cluster?.[Symbol.asyncDispose]())

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

test('an app moves with its data under load: requests wait, and all of them are answered', async () => {
  const home = await appWithData('blog')
  const stopped = new AbortController()
  const answers: string[] = []
  const asking = ['x', 'y'].map(async front => {
    while (!stopped.signal.aborted) {
      const answer = await cluster.at(front).ask('blog', '/files/note')
      answers.push(answer.status === 200 && answer.text === TEXT ? letterOf(answer) : `${answer.status} ${answer.text}`)
      await wait(20)
    }
  })
  await wait(500)
  const moved = await move('blog', other(home))
  assert.deepEqual([moved.moved, moved.from, moved.to], [true, cluster.nameOf(home), cluster.nameOf(other(home))])
  await wait(500)
  stopped.abort()
  await Promise.all(asking)
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
