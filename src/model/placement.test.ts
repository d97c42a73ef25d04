import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { type AppName, type NodeName, nodeName } from './names.ts'
import {
  type Candidate,
  hintOfRejected,
  imageKey,
  type MemoryFacts,
  type Needs,
  type PlacedOn,
  place,
  sayRejected,
} from './placement.ts'

type Node = Candidate<PlacedOn>
type Facts = Partial<Omit<PlacedOn, 'name'>> & { readonly healthy?: boolean; readonly overloaded?: boolean }

const GIB = 2 ** 30
const candidate = (name: string, { healthy = true, overloaded = false, ...facts }: Facts = {}): Node => ({
  node: { name: nodeName(name), ...facts },
  healthy,
  overloaded,
})
const room = (free: number, idle = 0, reservable = 16): { room: MemoryFacts } => ({
  room: { reservableBytes: reservable * GIB, freeBytes: free * GIB, idleBytes: idle * GIB },
})
const slots = (free: number, idle = 0, total = 28) => ({ volumeSlots: { total, free, idle } })
const zone = (name: string) => ({ labels: { zone: name } })
const images = (...ids: string[]) => ({ images: ids })
const app = 'blog' as AppName

/** By this weight, earlier letters are better. */
const weigh = (_: string, node: NodeName): number => -(node.codePointAt(0) ?? 0)

const volume = (node: string | null = null, isLocal = false, inZone?: string): Needs => ({
  volume: { node: node as NodeName | null, isLocal, ...(inZone && { zone: inZone }) },
})
const reserve = (gib: number): Needs => ({ reserveBytes: gib * GIB })

/** Title, needs, nodes, the node that is chosen, the reason, and what is said of nodes that cannot take the app. */
const rows: [string, Needs, Record<string, Facts>, string | undefined, string | undefined, string?][] = [
  ['no node', {}, {}, undefined, undefined],
  ['one node', {}, { a: {} }, 'a', 'only-node'],
  ['two nodes alike: the better weight', {}, { a: {}, b: {} }, 'a', 'hash'],
  ['the only healthy one', {}, { a: { healthy: false }, b: {} }, 'b', 'only-node', 'a is not healthy'],
  ['none is healthy', {}, { a: { healthy: false } }, undefined, undefined, 'a is not healthy'],

  [
    '1: the disk of b has the volume',
    volume('b', true),
    { a: {}, b: {} },
    'b',
    'has-volume',
    'a does not have its volume',
  ],
  [
    '1: nothing else can serve it, also if that node is full and overloaded',
    { ...volume('b', true), ...reserve(4) },
    { a: room(9), b: { ...room(0), ...slots(0), overloaded: true } },
    'b',
    'has-volume',
    'a does not have its volume',
  ],
  [
    '1: or does not answer',
    volume('b', true),
    { a: {}, b: { healthy: false } },
    undefined,
    undefined,
    'a does not have its volume, b is not healthy',
  ],
  ['1: a volume on shared storage stays where it is attached', volume('b'), { a: {}, b: {} }, 'b', 'has-volume'],
  [
    '1: and goes on where that node is not healthy',
    volume('b'),
    { a: {}, b: { healthy: false } },
    'a',
    'only-node',
    'b is not healthy',
  ],
  [
    '2: the zone of the volume',
    volume(null, false, 'eu-2'),
    { a: zone('eu-1'), b: zone('eu-2'), c: {} },
    'b',
    'only-node',
    'a is in another zone than its volume, c is in another zone than its volume',
  ],
  [
    '2: no node in the zone',
    volume(null, false, 'eu-2'),
    { a: zone('eu-1') },
    undefined,
    undefined,
    'a is in another zone than its volume',
  ],
  ['3: free memory', reserve(4), { a: room(3), b: room(4) }, 'b', 'memory'],
  ['3: memory that idle apps give back is second best', reserve(4), { a: room(1, 9), b: room(4) }, 'b', 'memory'],
  ['3: and better than none', reserve(4), { a: room(1), b: room(1, 3), c: room(3) }, 'b', 'memory'],
  ['3: where no node has any, one is asked all the same', reserve(4), { a: room(1), b: room(1) }, 'a', 'hash'],
  [
    '3: but never one that is too small',
    reserve(20),
    { a: room(16), b: room(32, 0, 32) },
    'b',
    'only-node',
    'a has less memory than it reserves',
  ],
  [
    '3: before volume slots',
    { ...volume(), ...reserve(4) },
    { a: { ...room(0), ...slots(9) }, b: { ...room(9), ...slots(0) } },
    'b',
    'memory',
  ],
  ['3: a node that does not tell its memory counts as free', reserve(4), { a: room(1), b: {} }, 'b', 'memory'],
  ['4: free volume slots', volume(), { a: slots(0), b: slots(1) }, 'b', 'volume-slots'],
  [
    '4: slots of idle apps are second best',
    volume(),
    { a: slots(0), b: slots(0, 1), c: slots(0) },
    'b',
    'volume-slots',
  ],
  ['4: which an app without a volume does not need', {}, { a: slots(0), b: slots(1) }, 'a', 'hash'],
  [
    '4: a node without slots takes no volumes',
    volume(),
    { a: slots(0, 0, 0) },
    undefined,
    undefined,
    'a takes no volumes',
  ],
  [
    'a node without the driver of the volume cannot take it; one that tells no drivers has loop',
    { volume: { node: null, isLocal: false, driver: 'pool' } },
    { a: {}, b: { volumeDrivers: ['loop'] }, c: { volumeDrivers: ['loop', 'pool'] } },
    'c',
    'only-node',
    'a does not have the driver of its volume, b does not have the driver of its volume',
  ],
  [
    'loop is the usual one',
    volume(),
    { a: { volumeDrivers: ['pool'] }, b: {} },
    'b',
    'only-node',
    'a does not have the driver of its volume',
  ],
  ['5: the image is there', { image: 'abc' }, { a: {}, b: images('def', 'abc'), c: images('def') }, 'b', 'image'],
  [
    '5: which matters less than memory',
    { image: 'abc', ...reserve(4) },
    { a: room(9), b: { ...room(1), ...images('abc') } },
    'a',
    'memory',
  ],
  ['an overloaded node takes apps only when all are', {}, { a: { overloaded: true }, b: {} }, 'b', 'not-overloaded'],
  ['which all are here', {}, { a: { overloaded: true }, b: { overloaded: true } }, 'a', 'hash'],
  ['7: of the two best, the one with much more room', {}, { a: room(1), b: room(9), c: room(16) }, 'b', 'room'],
  ['7: a little more is no reason to leave the best', {}, { a: room(5), b: room(9) }, 'a', 'hash'],
]

describe('placement:', () => {
  for (const [title, needs, nodes, node, reason, said = ''] of rows)
    test(title, () => {
      const candidates = Object.entries(nodes).map(([name, facts]) => candidate(name, facts))
      const placement = place(app, needs, candidates, { weigh })
      assert.deepEqual([placement.node?.name, placement.reason], [node, reason])
      assert.equal(sayRejected(placement.rejected), said)
    })

  test('6: replicas are spread over nodes', () => {
    const replicas = new Map([
      ['a', 2],
      ['b', 1],
      ['c', 2],
    ]) as unknown as ReadonlyMap<NodeName, number>
    const { node, reason } = place(
      app,
      {},
      ['a', 'b', 'c'].map(name => candidate(name)),
      { weigh, replicas },
    )
    assert.deepEqual([node?.name, reason], ['b', 'spread'])
  })

  test('a node that has just refused the app is not chosen again', () => {
    const without = new Set(['a' as NodeName])
    const { node, rejected } = place(app, {}, [candidate('a'), candidate('b')], { weigh, without })
    assert.deepEqual([node?.name, sayRejected(rejected)], ['b', 'a has refused it'])
  })

  test('the key of an image is the beginning of its id', () => {
    assert.equal(imageKey('sha256:0123456789abcdef'), '0123456789ab')
  })
})

const apps = Array.from({ length: 600 }, (_, index) => `app-${index}` as AppName)
const placed = (candidates: readonly Node[]): (string | undefined)[] =>
  apps.map(name => place(name, reserve(0.5), candidates).node?.name)

describe('placement of many apps:', () => {
  test('every front chooses the same of the same nodes, in whatever order it knows them', () => {
    const [a, b, c] = [candidate('a'), candidate('b', room(3)), candidate('c')]
    assert.deepEqual(placed([a, b, c]), placed([c, a, b]))
  })

  test('apps are spread over the nodes, and a node that goes moves only its own', () => {
    const all = [candidate('a'), candidate('b'), candidate('c')]
    const before = placed(all)
    for (const name of ['a', 'b', 'c']) assert(before.filter(one => one === name).length > 150)
    const after = placed([candidate('a'), candidate('b'), candidate('c', { healthy: false })])
    for (const [index, name] of before.entries()) if (name !== 'c') assert.equal(after[index], name)
  })

  test('no herd follows one empty node: of four, it is chosen for half of the apps, and the others share the rest', () => {
    const counts = Object.groupBy(
      placed([candidate('a', room(16)), ...['b', 'c', 'd'].map(name => candidate(name, room(4)))]),
      name => name ?? '',
    )
    assert(Math.abs((counts['a']?.length ?? 0) - 300) < 60)
    for (const name of ['b', 'c', 'd']) assert((counts[name]?.length ?? 0) > 60)
  })
})

test('whoever has no node in the zone of a volume is told the zone', () => {
  const rejected = [{ node: nodeName('a'), reason: 'other-zone' as const }]
  assert.match(hintOfRejected(rejected, 'eu-1a'), /^the volume is in zone eu-1a: start a node there/)
  assert.equal(hintOfRejected(rejected, undefined), 'shadow node ls')
  assert.equal(hintOfRejected([{ node: nodeName('a'), reason: 'unhealthy' }], 'eu-1a'), 'shadow node ls')
})
