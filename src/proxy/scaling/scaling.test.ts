import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { ShadowError } from '../../lib/errors.ts'
import { Gauges } from '../../lib/shared/gauges.ts'
import type { Node } from '../../model/app.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import type { Scale } from '../../model/scale.ts'
import { HandClock } from '../../testing/clock.ts'
import { aNode, aRoute } from '../../testing/front.ts'
import { silentLog } from '../../testing/silent-log.ts'
import type { NodeConnector } from '../node-connector.ts'
import type { KnownNode, Nodes } from '../nodes.ts'
import { Pins } from '../pins.ts'
import { Scaling } from './scaling.ts'
import { gaugeOf } from './targets.ts'

const BLOG = 'blog' as AppName
const ending = new Set<AbortController>()
afterEach(() => {
  for (const one of ending) one.abort()
  ending.clear()
})

/** Three nodes, what is awake on them, and any number of fronts. */
class World {
  readonly clock = new HandClock()
  readonly nodes = new Map<string, KnownNode>(
    ['a', 'b', 'c'].map(name => [
      name,
      { node: aNode(name, ''), healthy: true, overloaded: false, lostAt: undefined, appNetworks: [] },
    ]),
  )
  readonly awake = new Map<string, Set<InstanceId>>()
  /** The calls that a node got: `blog.2 on a`. */
  readonly kept: string[] = []
  /** Errors of nodes that cannot take an instance. */
  readonly refuses = new Map<string, ShadowError>()
  /** Nodes that do not answer. */
  readonly hangs = new Set<string>()
  listed: Route[] = []
  master: 'there' | 'away' = 'there'

  set(name: string, change: Partial<KnownNode>): void {
    this.nodes.set(name, { ...(this.nodes.get(name) as KnownNode), ...change })
  }

  instances(): string[] {
    return [...this.awake].flatMap(([node, ids]) => [...ids].map(id => `${id} on ${node}`)).toSorted()
  }

  readonly connector: Pick<NodeConnector, 'keep' | 'loads'> = {
    keep: async (_route, { instance, node: { name } }, _keeping, signal) => {
      this.kept.push(`${instance} on ${name}`)
      if (this.hangs.has(name))
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      const refusal = this.refuses.get(name)
      if (refusal !== undefined) throw refusal
      this.awake.set(name, (this.awake.get(name) ?? new Set()).add(instance))
    },
    loads: async ({ name }: Node) => [...(this.awake.get(name) ?? [])].map(instance => ({ instance, inFlight: 0 })),
  }

  front() {
    const kept = new Map<string, unknown>()
    const store = {
      get: (key: string) => kept.get(key),
      set: (key: string, value: unknown) => void kept.set(key, value),
      forget: (key: string) => void kept.delete(key),
    }
    const gauges = new Gauges()
    const { clock, connector } = this
    const master = {
      call: async () => {
        if (this.master === 'away') throw new ShadowError('master-unreachable', 'away')
        return { items: this.listed }
      },
    } as unknown as MasterClient
    const all = (): readonly KnownNode[] => [...this.nodes.values()]
    const nodes = {
      get all() {
        return all()
      },
      get: (name: NodeName) => this.nodes.get(name),
    } as Nodes
    const start = () => {
      const scaling = new Scaling({
        ...{ master, store, nodes, connector, gauges, clock, log: silentLog },
        pins: new Pins(store),
      })
      const end = new AbortController()
      ending.add(end)
      void scaling.run(end.signal)
      return { scaling, end: () => end.abort() }
    }
    const inFlight = gauges.of(gaugeOf.app(BLOG))
    const held = gauges.of(gaugeOf.held(BLOG))
    return { ...start(), start, inFlight, held }
  }
}

const route = (scale: Partial<Scale>): Route =>
  ({
    ...aRoute('blog', ['blog.localhost']),
    scale: { min: 0, max: 4, concurrency: { soft: 1, hard: 2 }, ...scale },
  }) as Route

const targetsOf = (scaling: Scaling): string[] =>
  scaling.of(BLOG).targets.map(({ instance, node }) => `${instance} on ${node}`)
const nodesOf = (instances: readonly string[]): string[] => instances.map(one => one.slice(-1)).toSorted()

describe('an app in use', () => {
  test('gets as many instances as requests wait for, on different nodes; they leave the targets when the load has gone', async () => {
    const world = new World()
    const { scaling, inFlight, held } = world.front()
    world.awake.set('a', new Set(['blog' as InstanceId]))
    scaling.used(route({}))
    for (let requests = 0; requests < 2; requests++) inFlight.force()
    for (let requests = 0; requests < 4; requests++) held.force()
    await world.clock.advance(1_000)
    assert.deepEqual(nodesOf(world.instances()), ['a', 'b', 'c'])
    assert.deepEqual(targetsOf(scaling).length, 3)
    for (let requests = 0; requests < 2; requests++) inFlight.give()
    for (let requests = 0; requests < 4; requests++) held.give()
    await world.clock.advance(45_000)
    assert.deepEqual(targetsOf(scaling), [])
    const calls = world.kept.length
    await world.clock.advance(60_000)
    assert.equal(world.kept.length, calls) // nothing keeps them awake, so their nodes put them to sleep
  })

  test('is not woken by its front as long as one instance is enough: its request does that', async () => {
    const world = new World()
    const { scaling, inFlight } = world.front()
    scaling.used(route({}))
    inFlight.force()
    await world.clock.advance(10_000)
    assert.deepEqual(world.kept, [])
  })

  test('does not get an instance back that fell asleep before the number of instances has fallen', async () => {
    const world = new World()
    const { scaling, inFlight } = world.front()
    world.awake.set('a', new Set(['blog' as InstanceId]))
    scaling.used(route({}))
    for (let requests = 0; requests < 8; requests++) inFlight.force()
    await world.clock.advance(1_000)
    assert.equal(world.instances().length, 4)
    for (let requests = 0; requests < 8; requests++) inFlight.give()
    await world.clock.advance(5_000)
    assert.equal(targetsOf(scaling).length, 4)
    world.awake.clear()
    await world.clock.advance(60_000)
    assert.deepEqual(world.instances(), [])
  })

  test('never gets more than its maximum', async () => {
    const world = new World()
    const { scaling, inFlight } = world.front()
    scaling.used(route({ max: 2 }))
    for (let requests = 0; requests < 100; requests++) inFlight.force()
    await world.clock.advance(20_000)
    assert.equal(world.instances().length, 2)
  })

  test('two fronts that see the same load at the same time start the same instances on the same nodes', async () => {
    const world = new World()
    const fronts = [world.front(), world.front()]
    for (const { scaling, held } of fronts) {
      for (let requests = 0; requests < 8; requests++) held.force()
      scaling.used(route({}))
    }
    await world.clock.advance(2_000)
    assert.equal(world.instances().length, 4)
    const [one, other] = fronts.map(({ scaling }) => targetsOf(scaling))
    assert.deepEqual(one, other)
  })

  test('an instance that another front has started is used, not started again', async () => {
    const world = new World()
    world.awake.set('a', new Set(['blog', 'blog.2'] as InstanceId[]))
    const { scaling, inFlight } = world.front()
    scaling.used(route({}))
    for (let requests = 0; requests < 4; requests++) inFlight.force()
    await world.clock.advance(500)
    assert.deepEqual([targetsOf(scaling), world.kept], [['blog on a', 'blog.2 on a'], []])
  })
})

describe('an instance that a node does not start', () => {
  test('is started on another one', async () => {
    const world = new World()
    world.awake.set('a', new Set(['blog' as InstanceId]))
    const { scaling, held } = world.front()
    for (let requests = 0; requests < 4; requests++) held.force()
    for (const name of ['a', 'b']) world.refuses.set(name, new ShadowError('no-memory', 'no room here'))
    scaling.used(route({ max: 2 }))
    await world.clock.advance(3_000)
    assert.deepEqual(world.instances(), ['blog on a', 'blog.2 on c'])
  })

  test('is told as the reason why requests wait, if no node starts it', async () => {
    const world = new World()
    world.awake.set('a', new Set(['blog' as InstanceId]))
    const { scaling, held } = world.front()
    for (let requests = 0; requests < 4; requests++) held.force()
    for (const name of ['a', 'b', 'c']) world.refuses.set(name, new ShadowError('no-memory', 'no room here'))
    scaling.used(route({ max: 2 }))
    await world.clock.advance(5_000)
    assert.equal(scaling.of(BLOG).problem, 'no room here')
    world.refuses.clear()
    await world.clock.advance(15_000)
    assert.equal(world.instances().length, 2)
    assert.equal(scaling.of(BLOG).problem, undefined)
  })

  test('is tried again with longer and longer pauses, if the app is at fault', async () => {
    const world = new World()
    world.awake.set('a', new Set(['blog' as InstanceId]))
    const { scaling, held } = world.front()
    for (let requests = 0; requests < 4; requests++) held.force()
    for (const name of ['a', 'b', 'c']) world.refuses.set(name, new ShadowError('app-crashed', 'exit code 1'))
    scaling.used(route({ max: 2 }))
    await world.clock.advance(60_000)
    assert.ok(world.kept.length >= 4 && world.kept.length <= 6, String(world.kept.length))
  })
})

describe('instances that are kept awake', () => {
  test('are started without a request, by a front that has just started, and kept on and on', async () => {
    const world = new World()
    world.listed = [route({ min: 2 })]
    const { scaling } = world.front()
    await world.clock.advance(1_000)
    assert.equal(world.instances().length, 2)
    assert.equal(targetsOf(scaling).length, 2)
    const calls = world.kept.length
    await world.clock.advance(60_000)
    assert.ok(world.kept.length >= calls + 20, String(world.kept.length))
    assert.equal(new Set(world.kept).size, 2)
  })

  test('are replaced on another node when theirs dies, also while it is being asked', async () => {
    const world = new World()
    world.listed = [route({ min: 2 })]
    const { scaling } = world.front()
    await world.clock.advance(1_000)
    const [dead = ''] = nodesOf(targetsOf(scaling))
    world.hangs.add(dead)
    await world.clock.advance(6_000)
    world.set(dead, { healthy: false })
    world.awake.delete(dead)
    await world.clock.advance(1_500)
    assert.equal(world.instances().length, 2)
    assert.ok(!nodesOf(targetsOf(scaling)).includes(dead))
  })

  test('are back within seconds when all nodes were away for long', async () => {
    const world = new World()
    world.listed = [route({ min: 1 })]
    const { scaling } = world.front()
    await world.clock.advance(1_000)
    for (const node of ['a', 'b', 'c']) world.set(node, { healthy: false })
    world.awake.clear()
    await world.clock.advance(600_000)
    world.set('b', { healthy: true })
    await world.clock.advance(3_000)
    assert.deepEqual(targetsOf(scaling), ['blog on b'])
  })

  test('are replaced when their node drains', async () => {
    const world = new World()
    world.listed = [route({ min: 1 })]
    const { scaling } = world.front()
    await world.clock.advance(1_000)
    const [from = ''] = nodesOf(targetsOf(scaling))
    const { node } = world.nodes.get(from) as KnownNode
    world.set(from, { node: { ...node, cordon: { since: '', drain: { until: '', volumes: 'keep' } } } })
    await world.clock.advance(1_500)
    const [to = ''] = nodesOf(targetsOf(scaling))
    assert.ok(to !== '' && to !== from)
  })

  test('are kept by a front that starts while the master is away', async () => {
    const world = new World()
    world.listed = [route({ min: 1 })]
    const front = world.front()
    await world.clock.advance(1_000)
    front.end()
    world.master = 'away'
    world.awake.clear()
    const { scaling } = front.start()
    await world.clock.advance(1_000)
    assert.equal(targetsOf(scaling).length, 1)
  })

  test('are kept no longer when the master lists them no more, though the front knows an older route', async () => {
    const world = new World()
    world.listed = [route({ min: 2 })]
    const { scaling } = world.front()
    scaling.used(route({ min: 2 }))
    await world.clock.advance(1_000)
    world.listed = []
    scaling.changed()
    await world.clock.advance(2_000)
    const calls = world.kept.length
    await world.clock.advance(60_000)
    assert.equal(world.kept.length, calls)
  })

  test('an app with a volume is kept awake on the node that has the volume', async () => {
    const world = new World()
    const app = {
      ...route({ min: 1, max: 1, concurrency: undefined }),
      hasVolume: true,
      needs: { volume: { node: 'c' as NodeName, isLocal: true } },
    }
    world.listed = [app as Route]
    world.front()
    await world.clock.advance(1_000)
    assert.deepEqual(world.instances(), ['blog on c'])
  })
})
