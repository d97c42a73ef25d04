import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'vitest'
import type { MasterClient } from '../../src/api/client.ts'
import type { InstanceView } from '../../src/model/instance.ts'
import { Apart } from '../tools/apart.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { register, until } from '../tools/shadow.ts'
import type { Visitor } from '../tools/visitor.ts'

const SCALE = { min: 0, max: 4, concurrency: { soft: 1, hard: 2 } }

type Failure = { readonly status: number; readonly code: string; readonly node: string; readonly at: number }

/** Clients that ask again and again, each as soon as it is answered. */
class Load {
  readonly failures: Failure[] = []
  readonly boots = new Set<string>()
  answered = 0
  readonly #visitors: readonly Visitor[]
  readonly #clients: { stop: boolean; done: Promise<void> }[] = []

  constructor(...visitors: readonly Visitor[]) {
    this.#visitors = visitors
  }

  /** Changes the number of clients; resolves when those that end have their answers. */
  async clients(count: number): Promise<void> {
    while (this.#clients.length < count) {
      const visitor = this.#visitors[this.#clients.length % this.#visitors.length] as Visitor
      const client = { stop: false, done: Promise.resolve() }
      client.done = this.#ask(visitor, client)
      this.#clients.push(client)
    }
    const ending = this.#clients.splice(count)
    for (const client of ending) client.stop = true
    await Promise.all(ending.map(({ done }) => done))
  }

  async #ask(visitor: Visitor, client: { readonly stop: boolean }): Promise<void> {
    while (!client.stop) {
      const at = performance.now()
      const { status, json, text, headers } = await visitor.ask('web', '/slow?ms=50')
      if (status === 200) {
        this.answered++
        this.boots.add(json.boot.id)
      } else this.failures.push({ status, code: json?.code ?? text, node: String(headers['x-shadow-node']), at })
    }
  }
}

const awake = async (admin: MasterClient, app: string): Promise<InstanceView[]> =>
  (await admin.call('listInstances', {})).items.filter(one => one.app === app && one.phase === 'awake')
const nodesOf = (instances: readonly InstanceView[]): string[] => [...new Set(instances.map(({ node }) => node))]

test('an app grows to several instances over two nodes under load, and falls back to none; no request is lost', async () => {
  await using apart = await Apart.start(['a', 'b'])
  const { admin } = apart
  await register(admin, 'web', { scale: SCALE, sleep: { idleAfter: '30s' } })
  const load = new Load(apart)
  await load.clients(1)
  await until(() => load.answered > 3 || undefined)
  assert.equal((await awake(admin, 'web')).length, 1)

  await load.clients(8)
  const grown = await until(async () => {
    const all = await awake(admin, 'web')
    return all.length === 4 ? all : undefined
  })
  assert.deepEqual(grown.map(({ instance }) => instance).toSorted(), ['web', 'web.2', 'web.3', 'web.4'])
  assert.equal(nodesOf(grown).length, 2)
  await until(() => load.boots.size === 4 || undefined)

  await load.clients(1)
  // While the number has not fallen yet, each instance gets requests.
  for (let leaps = 0; leaps < 18; leaps++) {
    await apart.pass(5_000)
    const before = load.answered
    await until(() => load.answered >= before + 6 || undefined)
  }
  await until(async () => (await awake(admin, 'web')).length === 1 || undefined)
  await load.clients(0)
  await apart.pass(35_000)
  await until(async () => (await awake(admin, 'web')).length === 0 || undefined)
  assert.deepEqual(load.failures, [])
})

test('a node that dies under load takes the requests that it had in hand and no others; instances that are kept awake are back within seconds', async () => {
  await using built = await installed()
  await using cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x', 'y'] })
  const { admin } = cluster
  await register(admin, 'web', { scale: { ...SCALE, min: 2 } })
  // Without any request.
  const first = await until(async () => {
    const all = await awake(admin, 'web')
    return all.length === 2 ? all : undefined
  })
  assert.equal(nodesOf(first).length, 2)

  const load = new Load(cluster.at('x'), cluster.at('y'))
  await load.clients(8)
  await until(async () => (await awake(admin, 'web')).length === 4 || undefined)
  await wait(500)
  assert.deepEqual(load.failures, [])

  await cluster.node('b').end('SIGKILL')
  const killed = performance.now() // what was sent before this may have been in its hand
  const back = await until(async () => {
    const all = (await awake(admin, 'web')).filter(({ node }) => node === cluster.nameOf('a'))
    return all.length === 4 ? all : undefined
  })
  assert.equal(back.length, 4)
  await wait(500)
  for (const { status, code, at } of load.failures)
    assert.ok(
      status === 502 && code === 'node-unreachable' && at <= killed,
      `${status} ${code}, ${at - killed} ms after`,
    )
  assert.ok(load.failures.length <= 8, String(load.failures.length))

  await load.clients(0)

  // A front that starts again goes on with it, and all its threads know the instances.
  await cluster.front('x').end('SIGKILL')
  await cluster.front('x').start({ SHADOW_WORKERS: '2' })
  await cluster.node('b').start()
  const again = new Load(cluster.at('x'))
  await again.clients(8)
  await until(() => again.boots.size >= 4 || undefined)
  await again.clients(0)
  assert.deepEqual(again.failures, [])
})
