import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { Failed } from '../api/delivery.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import { type LeaseTimes, leaseTimes } from '../model/intervals.ts'
import { releaseLease, renewLease, takeLease } from '../model/lease.ts'
import { appName, type NodeName } from '../model/names.ts'
import { type Explored, explore } from '../testing/explore.ts'
import { aNode, aRoute } from '../testing/front.ts'
import { NODES, newWorld, type Rules, stepsOf, type World } from '../testing/lease-world.ts'
import { mayGoElsewhere } from './failover.ts'

const MOST = 1_000_000
type Requests = readonly [number, number]
const ONE_EACH: Requests = [1, 1]
/** The least whole ticks that are to one another as `intervals.ts` demands; a call takes less than two ticks. */
const TIMES: LeaseTimes = { lasts: 6, renewedEvery: 2, clockSkew: 1, stopWithin: 1, grace: 0, guardedFor: 4 }
const route = aRoute('blog', ['blog.localhost'])
const nodes = NODES.map(name => ({ node: aNode(name, ''), healthy: true, overloaded: false, lostAt: undefined }))

/** The product's own rule for a front that was told that another node has the volume. */
function follow(from: NodeName, holder: NodeName): NodeName | undefined {
  const pins = new Map([[instanceId(appName('blog')), from]])
  const target = nodes.find(({ node }) => node.name === from)?.node as Node
  const error = new ShadowError('volume-elsewhere', `${holder} has it`, { facts: { node: holder } })
  const failed = { target, held: { isHop: true }, error } as unknown as Failed<Node>
  const parts = {
    pins: { get: pins.get.bind(pins), set: (...pin: [never, NodeName]) => void pins.set(...pin) },
    nodes: {
      all: nodes as never,
      get: (name: NodeName) => nodes.find(({ node }) => node.name === name),
      failed: () => undefined,
      mayComeBack: () => false,
    },
  }
  return mayGoElsewhere(parts, route, failed, new Map()) ? pins.get(instanceId(appName('blog'))) : undefined
}

const RULES: Rules = {
  take: takeLease,
  renew: renewLease,
  release: releaseLease,
  times: TIMES,
  skew: TIMES.clockSkew,
  countsFrom: age => age,
  follow,
}

/** Whatever crashes, stops or is late: never two writers. Where nothing does, everybody is answered. */
function faultOf({ nodes: [a, b], fronts, faults }: World, isEnd: boolean, begunWith: number): string | undefined {
  if (a.writes && b.writes) return 'two writers'
  if (begunWith > 0 || faults > 0) return undefined
  if (fronts.some(({ state }) => state === 'failed')) return 'a request failed'
  return isEnd && fronts.some(({ state }) => state !== 'answered') ? 'a request was never answered' : undefined
}

const explored = (
  rules: Partial<Rules>,
  { faults, requests = ONE_EACH }: { faults: number; requests?: Requests },
): Explored =>
  explore<World>({
    start: newWorld({ faults, requests }),
    steps: world => stepsOf(world, { ...RULES, ...rules }),
    fault: (world, isEnd) => faultOf(world, isEnd, faults),
    most: MOST,
  })

test('two fronts that send an app to two nodes at once: one container, and both are answered, whatever comes first', () => {
  const { fault, worlds } = explored({}, { faults: 0 })
  assert.equal(fault, undefined)
  assert.ok(worlds > 1_000, String(worlds))
})

test('a node that crashes or is stopped, a message that is lost or late, anywhere: never two writers', () => {
  const { fault, worlds } = explored({}, { faults: 1 })
  assert.equal(fault, undefined)
  assert.ok(worlds > 10_000, String(worlds))
})

test('the times of a lease are to one another as in the model', () => {
  for (const { lasts, renewedEvery, clockSkew, stopWithin, guardedFor } of [leaseTimes(60_000), TIMES]) {
    assert.ok(lasts - clockSkew - stopWithin > renewedEvery, 'it is renewed before it is given up')
    assert.ok(guardedFor >= lasts - clockSkew - stopWithin, 'the node has its chance before the guard')
    assert.ok(guardedFor < lasts - clockSkew, 'the guard comes before the next holder')
  }
})

const PLANTED: readonly [what: string, rules: Partial<Rules>, faults: number, requests?: Requests][] = [
  [
    'a lease is given although another node has it',
    { take: now => takeLease({ ...now, lease: null }, NODES[1], at(6), 0) },
    0,
  ],
  [
    'a late release ends a later lease',
    { release: (now, node) => (now.lease?.node === node ? { ...now, lease: null } : now) },
    1,
    [2, 1],
  ],
  ['the guard waits until the lease has ended', { times: { ...TIMES, guardedFor: 6 } }, 1],
  ['a node counts its lease from the answer on', { countsFrom: () => 0 }, 0],
  ['clocks of masters differ by more than is counted with', { skew: 3 }, 1],
  ['a front that was told who has the volume does not go there', { follow: () => undefined }, 0],
]
const at = (ticks: number): string => new Date(ticks).toISOString()

for (const [what, rules, faults, requests = ONE_EACH] of PLANTED)
  test(`the exploration finds this fault: ${what}`, () => {
    const { fault } = explored(rules, { faults, requests })
    assert.ok(fault, 'nothing was found')
    assert.match(fault.what, faults === 0 && 'follow' in rules ? /failed/ : /two writers/)
  })
