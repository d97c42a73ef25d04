import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type AppName, type NodeName, nodeName } from './names.ts'
import { type Candidate, place } from './placement.ts'

type Node = Candidate<{ readonly name: NodeName }>

const candidate = (name: string, state: Partial<Node> = {}): Node => ({
  node: { name: nodeName(name) },
  healthy: true,
  overloaded: false,
  ...state,
})
const apps = Array.from({ length: 600 }, (_, index) => `app-${index}` as AppName)
const placed = (candidates: readonly Node[]): (string | undefined)[] => apps.map(app => place(app, candidates)?.name)

test('every front chooses the same of the same nodes, in whatever order it knows them', () => {
  const [a, b, c] = [candidate('a'), candidate('b'), candidate('c')]
  assert.deepEqual(placed([a, b, c]), placed([c, a, b]))
})

test('apps are spread over the nodes, and a node that goes moves only its own', () => {
  const all = [candidate('a'), candidate('b'), candidate('c')]
  const before = placed(all)
  for (const name of ['a', 'b', 'c']) assert(before.filter(one => one === name).length > 150)
  const after = placed([candidate('a'), candidate('b'), candidate('c', { healthy: false })])
  for (const [index, name] of before.entries()) if (name !== 'c') assert.equal(after[index], name)
})

test('an overloaded node takes apps only when all are, an unhealthy one never', () => {
  const overloaded = candidate('a', { overloaded: true })
  assert(placed([overloaded, candidate('b')]).every(name => name === 'b'))
  assert(placed([overloaded]).every(name => name === 'a'))
  assert(placed([candidate('a', { healthy: false })]).every(name => name === undefined))
})
