import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { noLog } from '../lib/log.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import { HandClock } from '../testing/clock.ts'
import { aNode } from '../testing/front.ts'
import { httpConnector } from './http-connector.ts'
import { Nodes } from './nodes.ts'

test('a node that has not joined the cluster of the front counts as one that does not answer, and others are listed and checked', async () => {
  const clock = new HandClock()
  let lists = 0
  const call = async () => {
    lists++
    return { items: [aNode('n1', '127.0.0.1:1')] }
  }
  const nodes = new Nodes({
    master: { call } as unknown as MasterClient,
    store: { get: () => undefined, set: () => undefined } as never,
    connector: httpConnector(new Credentials({ ca: '' })),
    clock,
    log: noLog,
  })
  const ending = new AbortController()
  const watching = nodes.watch(ending.signal)
  for (let at = 0; at < 4; at++) await clock.advance(NODE_ANNOUNCES_EVERY)
  ending.abort()
  await watching
  assert.equal(nodes.all[0]?.healthy, false)
  assert.ok(lists >= 3, `listed ${lists} times`)
})
