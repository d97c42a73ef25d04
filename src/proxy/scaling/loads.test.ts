import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Gauges } from '../../lib/shared/gauges.ts'
import type { InstanceLoad } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { aNode } from '../../testing/front.ts'
import { type Known, Loads, onePerInstance } from './loads.ts'
import { gaugeOf } from './targets.ts'

const blog = 'blog' as AppName
const [a, b] = [aNode('a', ''), aNode('b', '')]
const load = (instance: string, inFlight = 0): InstanceLoad => ({ instance: instance as InstanceId, inFlight })
const said = (known: Iterable<Known>): string[] =>
  [...known].map(({ instance, node, others }) => `${instance} on ${node}: ${others}`).toSorted()

function someLoads(answers: Record<string, readonly InstanceLoad[] | Promise<readonly InstanceLoad[]> | undefined>) {
  const clock = new HandClock()
  const gauges = new Gauges()
  const connector = {
    loads: async ({ name }: { name: string }) => {
      const answer = await answers[name]
      if (answer === undefined) throw new Error('no answer')
      return answer
    },
  }
  return { loads: new Loads({ connector, gauges, clock }), gauges, clock }
}

test('of the requests in flight that a node tells, those of this front are taken off', async () => {
  const { loads, gauges } = someLoads({ a: [load('blog', 5), load('shop', 1)], b: [load('blog.2', 3)] })
  for (let own = 0; own < 2; own++) gauges.of(gaugeOf.instance('blog' as InstanceId, 'a' as NodeName)).force()
  await loads.read([a, b])
  assert.deepEqual(said(loads.of(blog)), ['blog on a: 3', 'blog.2 on b: 3'])
})

test('what is known of a node that does not answer stands, and what is known of one that is left out goes', async () => {
  const answers: Record<string, InstanceLoad[] | undefined> = { a: [load('blog')], b: [load('blog.2')] }
  const { loads } = someLoads(answers)
  await loads.read([a, b])
  answers['a'] = undefined
  await loads.read([a])
  assert.deepEqual(said(loads.of(blog)), ['blog on a: 0'])
})

test('an instance that became ready while its node was asked is not forgotten', async () => {
  const answer = Promise.withResolvers<InstanceLoad[]>()
  const { loads, clock } = someLoads({ a: answer.promise })
  const reading = loads.read([a])
  await clock.advance(10)
  loads.add('blog.2' as InstanceId, a.name)
  answer.resolve([load('blog')])
  await reading
  assert.deepEqual(said(loads.of(blog)), ['blog on a: 0', 'blog.2 on a: 0'])
  await clock.advance(10)
  await loads.read([a])
  assert.deepEqual(said(loads.of(blog)), ['blog on a: 0'])
})

test('of an instance that is awake on two nodes, all fronts choose the same one', () => {
  const known = ['a', 'b', 'c'].map(
    node => ({ instance: 'blog.2', node, others: 0, cpu: undefined, at: 0 }) as unknown as Known,
  )
  const chosen = said(onePerInstance(known).values())
  assert.equal(chosen.length, 1)
  assert.deepEqual(said(onePerInstance(known.toReversed()).values()), chosen)
})
