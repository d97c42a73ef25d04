import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { Gauges } from '../../lib/shared/gauges.ts'
import type { Node } from '../../model/app.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import { HELD_WITHIN } from '../../model/intervals.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'
import type { Scale } from '../../model/scale.ts'
import { HandClock } from '../../testing/clock.ts'
import { aNode, aRoute } from '../../testing/front.ts'
import { AppInstances, type Chosen } from './app-instances.ts'
import { type AppTargets, gaugeOf, NO_TARGETS, type Target } from './targets.ts'

const BLOG = 'blog' as AppName
const NONE = new Set<string>()
const left = new AbortController().signal

const target = (instance: string, node: string, others = 0): Target => ({
  instance: instance as InstanceId,
  node: node as NodeName,
  others,
})

/** The instances of an app with two nodes, with what a test says of them. */
function someInstances(scale: Partial<Scale> = {}) {
  const clock = new HandClock()
  const gauges = new Gauges()
  const state = { targets: NO_TARGETS as AppTargets, pin: undefined as string | undefined, told: [] as string[] }
  const nodes = new Map(
    ['a', 'b'].map(name => [name, { node: aNode(name, ''), healthy: true, overloaded: false, lostAt: undefined }]),
  )
  const route = {
    ...aRoute('blog', ['blog.localhost']),
    scale: { min: 0, max: 4, concurrency: { soft: 1, hard: 2 }, ...scale },
  } as Route
  const instances = new AppInstances(route, {
    clock,
    gauges,
    pins: { get: () => state.pin as NodeName | undefined },
    nodes: { get: name => nodes.get(name) },
    targets: {
      of: () => state.targets,
      used: () => void state.told.push('used'),
      held: () => void state.told.push('held'),
      doubt: () => void state.told.push('doubt'),
      onChange: () => undefined,
    },
  })
  const wakeOn = async (): Promise<Node> => aNode('a', '')
  const wait = (signal = left) => instances.wait(NONE, true, wakeOn, signal)
  const used = (): number => gauges.of(gaugeOf.app(BLOG)).used
  return { clock, state, nodes, instances, wait, used }
}

const said = (chosen: Chosen | undefined): string =>
  chosen === undefined ? 'none' : `${chosen.instance} on ${chosen.node.name}`

describe('of the instances that are ready', () => {
  test('the one with the fewest requests in flight gets the next one', () => {
    const { state, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a'), target('blog.2', 'b')] }
    const first = instances.now(NONE, true)
    const second = instances.now(NONE, true)
    assert.deepEqual([said(first), said(second)].toSorted(), ['blog on a', 'blog.2 on b'])
    second?.leave()
    assert.equal(said(instances.now(NONE, true)), said(second))
  })

  test('a session gets one that still runs its release, and any of them once none does', () => {
    const { state, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a'), { ...target('blog.2', 'b', 1), formers: [11] }] }
    assert.equal(said(instances.now(NONE, true, 11)), 'blog.2 on b')
    assert.equal(said(instances.now(NONE, true, 11)), 'none') // it has its hard limit
    assert.equal(said(instances.now(NONE, true, 10)), 'blog on a')
  })

  test('the requests of other fronts count', () => {
    const { state, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a', 1), target('blog.2', 'b')] }
    assert.equal(said(instances.now(NONE, true)), 'blog.2 on b')
  })

  test('none gets more than its hard limit', () => {
    const { state, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a'), target('blog.2', 'b', 1)] }
    for (let taken = 0; taken < 3; taken++) assert.ok(instances.now(NONE, true))
    assert.equal(instances.now(NONE, true), undefined)
  })

  test('those on a node that is not healthy, or drains, get none', () => {
    const { state, nodes, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a'), target('blog.2', 'b')] }
    const b = nodes.get('b')
    if (b !== undefined) b.healthy = false
    assert.equal(said(instances.now(NONE, true)), 'blog on a')
    const a = nodes.get('a')
    const cordon = { since: '', drain: { until: '', volumes: 'keep' as const } }
    if (a !== undefined) a.node = { ...a.node, cordon }
    assert.equal(instances.now(NONE, true), undefined)
  })

  test('one that has refused the request does not get it again, and none of others until its node was asked', async () => {
    const { clock, state, instances } = someInstances()
    state.targets = { targets: [target('blog', 'a'), target('blog.2', 'b')] }
    assert.equal(said(instances.now(new Set(['blog on a']), true)), 'blog.2 on b')
    instances.avoid(instanceId(BLOG), aNode('a', ''), 2_000)
    assert.equal(said(instances.now(NONE, true)), 'blog.2 on b')
    assert.equal(instances.now(NONE, true), undefined)
    await clock.advance(5_000)
    assert.equal(said(instances.now(NONE, true)), 'blog on a')
  })

  test('a request that wakes nothing takes no place', () => {
    const { state, instances, used } = someInstances()
    state.targets = { targets: [target('blog', 'a')] }
    for (let taken = 0; taken < 3; taken++) assert.equal(said(instances.now(NONE, false)), 'blog on a')
    assert.equal(used(), 0)
  })
})

describe('a request that no instance may be given', () => {
  test('waits, and gets the next place in its turn', async () => {
    const { state, instances, wait, used } = someInstances()
    state.targets = { targets: [target('blog', 'a')] }
    const [first, second] = [instances.now(NONE, true), instances.now(NONE, true)]
    const order: string[] = []
    const waiting = ['third', 'fourth'].map(async name => {
      const chosen = await wait()
      order.push(name)
      return chosen
    })
    await new Promise(setImmediate)
    assert.equal(instances.now(NONE, true), undefined) // who comes later does not overtake
    first?.leave()
    await waiting[0]
    second?.leave()
    await waiting[1]
    assert.deepEqual([order, used()], [['third', 'fourth'], 2])
    assert.ok(state.told.includes('held'))
  })

  test('goes to an instance that becomes ready', async () => {
    const { state, instances, wait } = someInstances()
    state.targets = { targets: [target('blog', 'a', 2)] }
    const waiting = wait()
    state.targets = { targets: [target('blog', 'a', 2), target('blog.2', 'b')] }
    instances.changed()
    assert.equal(said(await waiting), 'blog.2 on b')
  })

  test('fails after a while, and the error says why there is no other instance', async () => {
    const { clock, state, wait, used } = someInstances()
    state.targets = { targets: [target('blog', 'a', 2)], problem: 'no node has the memory' }
    const waiting = wait().catch(error => error)
    await clock.advance(HELD_WITHIN)
    const error = await waiting
    assert.ok(isFailure(error, 'queue-full'))
    assert.match(
      error.message,
      /as many requests in flight as its instances may have, 2 each, .*no node has the memory/,
    )
    assert.equal(used(), 0)
  })

  test('whose client leaves takes no place later', async () => {
    const { state, instances, wait, used } = someInstances()
    state.targets = { targets: [target('blog', 'a')] }
    const [first] = [instances.now(NONE, true), instances.now(NONE, true)]
    const gone = new AbortController()
    const waiting = wait(gone.signal)
    await new Promise(setImmediate)
    gone.abort(new Error('gone'))
    first?.leave() // in the same moment
    await assert.rejects(waiting, /gone/)
    assert.equal(used(), 1)
    assert.equal(said(instances.now(NONE, true)), 'blog on a')
  })
})

describe('while none is ready', () => {
  test('requests go to the node of the pin, as many as one instance may have', () => {
    const { state, instances } = someInstances()
    state.pin = 'b'
    assert.deepEqual(
      [1, 2, 3].map(() => said(instances.now(NONE, true))),
      ['blog on b', 'blog on b', 'none'],
    )
  })

  test('without a pin, they go to the node that placement finds, and the others wait', async () => {
    const { instances, wait, used } = someInstances()
    const chosen = await Promise.all([wait(), wait()])
    assert.deepEqual(chosen.map(said), ['blog on a', 'blog on a'])
    const third = wait()
    await new Promise(setImmediate)
    assert.equal(used(), 2)
    chosen[0]?.leave()
    assert.equal(said(await third), 'blog on a')
    assert.equal(instances.hasReady(NONE), false)
  })

  test('an app with one instance at most has no limit of its own', () => {
    const { state, instances } = someInstances({ min: 1, max: 1, concurrency: undefined })
    state.pin = 'a'
    for (let taken = 0; taken < 500; taken++) assert.ok(instances.now(NONE, true))
  })
})
