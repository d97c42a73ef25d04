import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { anApp } from '../../testing/fake-app.ts'
import { streamRollout } from './rollouts.ts'

/** What is streamed of a rollout of an app whose instances are told these lines by their nodes. */
async function streamed(nodes: Readonly<Record<string, readonly object[] | ShadowError>>) {
  const written: string[] = []
  const response = {
    writeHead: () => response,
    flushHeaders: () => undefined,
    write: (text: string) => void written.push(text),
  } as unknown as ServerResponse
  const relay = {
    rolloutTargets: async () => Object.keys(nodes).map(name => ({ instance: 'blog', node: { name } })),
    followRollout: async (_app: unknown, { node }: { node: { name: string } }) => {
      const lines = nodes[node.name]
      if (lines instanceof ShadowError) throw lines
      return { body: Readable.from([`\n${lines?.map(line => `${JSON.stringify(line)}\n`).join('')}`]) }
    },
  } as unknown as Parameters<typeof streamRollout>[0]
  const gone = new AbortController().signal
  await streamRollout(relay, anApp(), { revision: 2, wake: false, within: 10 }, response, gone)
  return written.map(line => JSON.parse(line))
}

const at = '2026-01-01T00:00:00.000Z'
const end = (outcome: string, serves: number | null = null) => ({ outcome, revision: 2, serves })

describe('a rollout over several nodes', () => {
  test('tells the stages of each instance with its node, and one outcome', async () => {
    const lines = await streamed({
      a: [{ stage: 'starting', at }, end('serves', 2)],
      b: [{ stage: 'switched', at }, end('serves', 2)],
    })
    assert.deepEqual(
      lines
        .slice(0, 2)
        .map(({ node, instance, revision, stage }) => `${instance} on ${node}: ${revision} ${stage}`)
        .toSorted(),
      ['blog on a: 2 starting', 'blog on b: 2 switched'],
    )
    assert.deepEqual(lines.at(-1), end('serves', 2))
  })

  for (const [outcomes, outcome] of [
    [['serves', 'asleep'], 'serves'],
    [['serves', 'rejected'], 'rejected'],
    [['failed', 'rejected'], 'rejected'],
    [['late', 'serves'], 'late'],
    [['superseded', 'serves'], 'superseded'],
    [[], 'asleep'],
  ] as const)
    test(`of which the ends are ${outcomes.join(' and ') || 'none'}: ${outcome}`, async () => {
      const lines = await streamed(Object.fromEntries(outcomes.map((one, index) => [`n${index}`, [end(one)]])))
      assert.equal(lines.at(-1).outcome, outcome)
    })

  test('a node that does not answer is a failure, with its reason', async () => {
    const lines = await streamed({ a: [end('serves', 2)], b: new ShadowError('node-unreachable', 'b does not answer') })
    assert.deepEqual(
      [lines.at(-1).outcome, lines.at(-1).problem.code, lines.at(-1).serves],
      ['failed', 'node-unreachable', 2],
    )
  })

  test('a node that ends in the middle is a failure', async () => {
    assert.equal((await streamed({ a: [{ stage: 'starting', at }] })).at(-1).outcome, 'failed')
  })
})
