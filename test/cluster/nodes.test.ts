import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import type { Node } from '../../src/model/app.ts'
import { FRONT_CHECKS_NODES_EVERY, NODE_ANNOUNCES_EVERY, NODE_CHECK_WITHIN } from '../../src/model/intervals.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { isCode, register, until } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '16MiB' } }

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x', 'y'] })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})
afterEach(() => cluster.settle())

const letterOf = ({ headers }: Answer): string => (headers['x-shadow-node'] === cluster.nameOf('a') ? 'a' : 'b')
const other = (letter: string): string => (letter === 'a' ? 'b' : 'a')
const paramsOf = (letter: string) => ({ params: { node: cluster.nameOf(letter) } })
const drain = (letter: string, body: { deadline?: string; volumes?: 'refuse' | 'keep' | 'stop' } = {}) =>
  cluster.admin.call('drainNode', { ...paramsOf(letter), body })

async function node(letter: string): Promise<Node> {
  const { items } = await cluster.admin.call('listNodes', {})
  const found = items.find(({ name }) => name === cluster.nameOf(letter))
  assert.ok(found, `no node is called ${cluster.nameOf(letter)}`)
  return found
}

/** Registers apps without a volume until each node has so many of them awake; returns them by the letter of their node. */
async function appsOnBoth(each: number): Promise<Record<string, string[]>> {
  const apps: Record<string, string[]> = { a: [], b: [] }
  for (let n = 0; Object.values(apps).some(({ length }) => length < each); n++) {
    await register(cluster.admin, `app-${n}`)
    apps[letterOf(await cluster.at('x').ask(`app-${n}`))]?.push(`app-${n}`)
  }
  return apps
}

/** Asks for the apps at both fronts, again and again, until it is disposed of. Returns what was not answered by then. */
function load(apps: readonly string[]) {
  const failed: string[] = []
  const stopped = new AbortController()
  let answered = 0
  const asking = apps.flatMap(app =>
    ['x', 'y'].map(async front => {
      while (!stopped.signal.aborted) {
        const { status, text } = await cluster.at(front).ask(app, '/echo', { method: 'POST', body: 'hello' })
        if (status === 200) answered++
        else failed.push(`${app} at ${front}: ${status} ${text}`)
        await wait(20)
      }
    }),
  )
  return async (): Promise<{ failed: readonly string[]; answered: number }> => {
    stopped.abort()
    await Promise.all(asking)
    return { failed, answered }
  }
}

test('a cordoned node serves and wakes what it has, and takes nothing new; uncordoned it does again', async () => {
  const apps = await appsOnBoth(1)
  await cluster.admin.call('cordonNode', paramsOf('a'))
  const [old] = apps['a'] as [string]
  await cluster.admin.call('sleepApp', { params: { app: old } })
  assert.equal(letterOf(await cluster.at('x').ask(old)), 'a')
  // No wait is needed: the node refuses a front that does not know of the cordon yet, and the front tries the other node.
  for (let n = 0; n < 6; n++) {
    await register(cluster.admin, `new-${n}`)
    const answer = await cluster.at(n % 2 === 0 ? 'x' : 'y').ask(`new-${n}`)
    assert.deepEqual([answer.status, letterOf(answer)], [200, 'b'])
  }
  await cluster.front('y').end('SIGKILL')
  await cluster.front('y').start()
  await register(cluster.admin, 'newest')
  assert.equal(letterOf(await cluster.at('y').ask('newest')), 'b')
  assert.deepEqual((await node('a')).state, 'healthy')

  await cluster.admin.call('uncordonNode', paramsOf('a'))
  await cluster.admin.call('cordonNode', paramsOf('b'))
  await register(cluster.admin, 'after')
  await until(async () => (await node('a')).cordon === undefined || undefined)
  assert.equal((await cluster.at('x').ask('after')).status, 200)
})

test('a drain under load loses no request: idle apps and those in use leave, and asleep ones are not woken', async () => {
  const apps = await appsOnBoth(3)
  const [asleep, ...awake] = apps['a'] as [string, ...string[]]
  await cluster.admin.call('sleepApp', { params: { app: asleep } })
  const stop = load([...awake, ...(apps['b'] ?? [])])
  await wait(500)
  await drain('a')
  await until(async () => (await node('a')).toLeave === 0 || undefined)
  assert.equal((await node('a')).state, 'draining')
  await wait(500)
  const { failed, answered } = await stop()
  assert.deepEqual(failed, [])
  assert.ok(answered > 50)
  for (const app of awake) {
    assert.deepEqual(await cluster.containers('a', app), [])
    for (const front of ['x', 'y']) assert.equal(letterOf(await cluster.at(front).ask(app)), 'b')
  }
  assert.deepEqual([await cluster.containers('a', asleep), await cluster.containers('b', asleep)], [[], []])
  assert.equal(letterOf(await cluster.at('y').ask(asleep)), 'b')

  await cluster.admin.call('uncordonNode', paramsOf('a'))
  await drain('b')
  await until(async () => (await node('b')).toLeave === 0 || undefined)
  for (const app of awake) assert.equal(letterOf(await cluster.at('x').ask(app)), 'a')
})

test('new requests leave a node that drains while a WebSocket goes on there, until the time of the drain is over', async () => {
  await register(cluster.admin, 'talk', { sleep: { drain: '1s' } })
  const home = letterOf(await cluster.at('x').ask('talk'))
  const socket = await cluster.at('x').webSocket('talk')
  const closed = once(socket, 'close')
  await drain(home, { deadline: '10s' })
  await until(async () => {
    const asked = await cluster.at('x').ask('talk')
    assert.equal(asked.status, 200, asked.text)
    return letterOf(asked) === other(home) || undefined
  })
  assert.equal(socket.readyState, socket.OPEN)
  await closed
  await until(async () => (await node(home)).toLeave === 0 || undefined)
  assert.deepEqual(await cluster.containers(home, 'talk'), [])
  assert.equal(letterOf(await cluster.at('x').ask('talk')), other(home))
})

test('a drain says by name which volumes cannot leave; kept, their apps are served on, and stopped, they sleep until the node is uncordoned', async () => {
  await register(cluster.admin, 'kept', VOLUME)
  const home = letterOf(await cluster.at('x').ask('kept'))
  await assert.rejects(drain(home), isCode('volumes-stay'))
  assert.equal((await node(home)).cordon, undefined)

  await drain(home, { volumes: 'keep' })
  await until(async () => (await node(home)).toLeave === 0 || undefined)
  await cluster.admin.call('sleepApp', { params: { app: 'kept' } })
  const kept = await cluster.at('y').ask('kept')
  assert.deepEqual([kept.status, letterOf(kept)], [200, home])

  await drain(home, { volumes: 'stop' })
  await until(async () => (await cluster.containers(home, 'kept')).length === 0 || undefined)
  const refused = await cluster.at('x').ask('kept')
  assert.deepEqual([refused.status, refused.headers['x-shadow-error']], [503, 'node-cordoned'])

  await cluster.admin.call('uncordonNode', paramsOf(home))
  await until(async () => (await cluster.at('x').ask('kept')).status === 200 || undefined)
})

test('a node that hangs is left by every front within seconds', async () => {
  const apps = await appsOnBoth(1)
  const [app] = apps['a'] as [string]
  await cluster.at('y').ask(app)
  const resumed = cluster.node('a').pause()
  try {
    await wait(FRONT_CHECKS_NODES_EVERY + NODE_CHECK_WITHIN + 1_000)
    for (const front of ['x', 'y']) {
      const begun = performance.now()
      assert.equal(letterOf(await cluster.at(front).ask(app)), 'b')
      assert.ok(performance.now() - begun < 4_000)
    }
  } finally {
    resumed()
  }
})

test('a node that is gone for good is removed with what is lost told; back with a new token, it has its volumes again', async () => {
  await register(cluster.admin, 'kept', VOLUME)
  await register(cluster.admin, 'plain')
  const home = letterOf(await cluster.at('x').ask('kept', '/files/note', { method: 'PUT', body: 'hello' }))
  await assert.rejects(
    cluster.admin.call('removeNode', { ...paramsOf(home), query: { lost: 'true' } }),
    isCode('node-in-use'),
  )
  await cluster.node(home).end('SIGKILL')
  await until(async () => (await node(home)).state === 'gone' || undefined)
  await assert.rejects(cluster.admin.call('removeNode', paramsOf(home)), isCode('node-in-use'))
  const { lost } = await cluster.admin.call('removeNode', { ...paramsOf(home), query: { lost: 'true' } })
  assert.deepEqual(
    lost.map(({ id }) => id),
    ['kept'],
  )

  const refused = await until(async () => {
    const answer = await cluster.at('y').ask('kept')
    assert.notEqual(answer.status, 200)
    return answer.headers['x-shadow-error'] === 'volume-lost' ? answer : undefined
  })
  assert.equal(refused.status, 424)
  await assert.rejects(cluster.admin.call('wakeApp', { params: { app: 'kept' } }), isCode('volume-lost'))
  assert.deepEqual(await cluster.containers(other(home), 'kept'), [])
  assert.equal(letterOf(await cluster.at('y').ask('plain')), other(home))

  const body = { name: cluster.nameOf(home), role: 'node' } as const
  await cluster.node(home).start({ SHADOW_TOKEN: (await cluster.admin.call('createToken', { body })).token })
  const back = await until(async () => {
    const answer = await cluster.at('y').ask('kept', '/files/note')
    return answer.status === 200 ? answer : undefined
  })
  assert.deepEqual([back.text, letterOf(back)], ['hello', home])
})

test('a wake without room goes to the other node, then is refused within 2 s with the reason, and idle apps make room for it', async () => {
  for (const letter of ['a', 'b']) {
    await cluster.node(letter).end('SIGINT')
    await cluster.node(letter).start({ SHADOW_VOLUME_SLOTS: '1' })
    await until(async () => (await node(letter)).volumeSlots?.total === 1 || undefined)
  }
  // Fronts learn of the slots within seconds. This test takes slots faster than that.
  for (const app of ['one', 'two', 'three']) await register(cluster.admin, app, VOLUME)
  const sockets = []
  const homes = new Set<string>()
  for (const app of ['one', 'two']) {
    sockets.push(
      await until(() =>
        cluster
          .at('x')
          .webSocket(app)
          .catch(() => undefined),
      ),
    )
    homes.add(letterOf(await cluster.at('x').ask(app)))
  }
  assert.deepEqual([...homes].toSorted(), ['a', 'b'])

  const begun = performance.now()
  const refused = await cluster.at('y').ask('three', '/echo', { method: 'POST', body: 'hello' })
  assert.ok(performance.now() - begun < 2_000)
  assert.deepEqual([refused.status, refused.headers['x-shadow-error']], [503, 'no-volume-slot'])
  assert.ok(Number(refused.headers['retry-after']) >= 1)
  await assert.rejects(cluster.admin.call('wakeApp', { params: { app: 'three' } }), isCode('no-volume-slot'))

  sockets[0]?.close()
  const served = await until(async () => {
    const answer = await cluster.at('y').ask('three')
    return answer.status === 200 ? answer : undefined
  })
  assert.equal((await cluster.containers(letterOf(served), 'one')).length, 0)
  const { stoppedBy } = await cluster.admin.call('getInstance', { params: { app: 'one' } })
  assert.equal(stoppedBy, 'room')
  sockets[1]?.close()
  for (const letter of ['a', 'b']) {
    await cluster.node(letter).end('SIGINT')
    await cluster.node(letter).start({ SHADOW_VOLUME_SLOTS: '100' })
  }
})

test('a drained node is removed and does not come back, whatever it announces; the other serves all', async () => {
  const apps = await appsOnBoth(1)
  await assert.rejects(cluster.admin.call('removeNode', paramsOf('a')), isCode('node-in-use'))
  await drain('a')
  await until(async () => (await node('a')).toLeave === 0 || undefined)
  assert.equal((await cluster.admin.call('removeNode', paramsOf('a'))).removed, true)
  await wait(2 * NODE_ANNOUNCES_EVERY)
  const { items } = await cluster.admin.call('listNodes', {})
  assert.deepEqual(
    items.map(({ name }) => name),
    [cluster.nameOf('b')],
  )
  for (const app of Object.values(apps).flat()) assert.equal(letterOf(await cluster.at('x').ask(app)), 'b')
})
