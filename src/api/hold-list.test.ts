import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { HoldRequest } from '../model/instance.ts'
import { type Hold, HoldList } from './hold-list.ts'

const aRequest = (what: string): HoldRequest => ({ kind: 'request', what, bytes: 0, mayWake: true })
const target = {
  address: '127.0.0.1:1',
  run: 'c1',
  refused: async () => undefined,
  alive: async () => undefined,
  badAnswer: () => undefined,
}
const namesOf = (holds: readonly Hold[]): string[] => holds.map(hold => hold.request.what)

test('holds leave in any order, each exactly once, and the others stay', () => {
  const left: string[] = []
  const list = new HoldList(hold => void left.push(hold.request.what))
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((what, at) => list.enter(aRequest(what), target, 10 - at)) as [
    Hold,
    Hold,
    Hold,
    Hold,
  ]
  assert.deepEqual(namesOf(list.oldestFirst), ['d', 'c', 'b', 'a'])
  for (const [hold, others] of [
    [b, ['a', 'c', 'd']],
    [d, ['a', 'c']],
    [a, ['c']],
    [c, []],
  ] as const) {
    hold[Symbol.dispose]()
    assert.deepEqual(namesOf(list.all).toSorted(), others)
    assert.throws(() => hold[Symbol.dispose](), /released twice/)
  }
  assert.deepEqual([left, list.size], [['b', 'd', 'a', 'c'], 0])
})

test('the list has already lost a hold when it tells that the hold left, and another may enter then', () => {
  const sizes: number[] = []
  const list: HoldList = new HoldList(hold => {
    sizes.push(list.size)
    if (hold.request.what === 'a') list.enter(aRequest('b'), target, 1)
  })
  list.enter(aRequest('a'), target, 0)[Symbol.dispose]()
  assert.deepEqual([sizes, namesOf(list.all)], [[0], ['b']])
})
