import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { AppName, NodeName } from './names.ts'
import { bestTwo, rendezvous } from './rendezvous.ts'

const nodes = Array.from({ length: 20 }, (_, at) => `node-${at}` as NodeName)
const apps = Array.from({ length: 20_000 }, (_, at) => `app-${at}` as AppName)
const firstOf = (app: AppName, among: readonly NodeName[]): NodeName | undefined =>
  bestTwo(
    among.map(name => ({ name })),
    ({ name }) => rendezvous(app, name),
  )[0]?.name

describe('rendezvous hashing:', () => {
  test('the nodes of apps with names alike have equal shares', () => {
    const shares = Object.groupBy(apps, app => firstOf(app, nodes) ?? '')
    // The standard deviation of a share of 1,000 is 31.
    for (const node of nodes) assert.ok(Math.abs((shares[node]?.length ?? 0) - 1_000) < 150, node)
  })

  test('the apps of a node that goes are shared by all others, and no other app moves', () => {
    const [gone, ...left] = nodes as [NodeName, ...NodeName[]]
    const moved = new Map<string, number>()
    for (const app of apps) {
      const [before, after] = [firstOf(app, nodes), firstOf(app, left)]
      if (before === gone) moved.set(after ?? '', (moved.get(after ?? '') ?? 0) + 1)
      else assert.equal(after, before)
    }
    assert.equal(moved.size, left.length)
    for (const count of moved.values()) assert.ok(count > 25 && count < 90, `${count}`)
  })

  test('weights stay as they are: fronts and masters of two versions run side by side', () => {
    assert.deepEqual(
      (['a', 'b'] as NodeName[]).map(node => rendezvous('blog' as AppName, node)),
      [72_005_635, 2_021_789_553],
    )
  })

  test('of equal weights the greater name is first, in whatever order they come', () => {
    const items = ['b', 'c', 'a'].map(name => ({ name }))
    assert.deepEqual(
      bestTwo(items, () => 1),
      [{ name: 'c' }, { name: 'b' }],
    )
    assert.deepEqual(
      bestTwo(items.toReversed(), () => 1),
      [{ name: 'c' }, { name: 'b' }],
    )
    assert.deepEqual(
      bestTwo([], () => 1),
      [undefined, undefined],
    )
  })
})
