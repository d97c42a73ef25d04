import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { aNode, DRAINED, FULL, GIB, MINUTE, NOW, server, terms, wants, world } from '../../testing/fleet-views.ts'
import { decide } from './rules.ts'
import type { World } from './world.ts'

const said = (given: Partial<World>): string[] =>
  decide(world(given)).steps.map(({ do: what, number, offer }) => `${what} ${number}${offer ? ` ${offer}` : ''}`)

describe('a fleet grows', () => {
  const rows: [string, Partial<World>, string[]][] = [
    ['by nothing, as long as nothing is wanted', {}, []],
    ['by one server for an app that no node has room for', { wanted: [wants('blog', 1)] }, ['buy 1 m@a']],
    ['by nothing, where a node has room after all', { wanted: [wants('blog', 1)], others: [aNode()] }, []],
    [
      'by nothing, where idle apps of a node could give way',
      { wanted: [wants('blog', 1)], others: [aNode({ freeBytes: 0, idleBytes: GIB })] },
      [],
    ],
    [
      'though a node says it has room, if it has refused the app for long',
      { wanted: [wants('blog', 1, { firstMs: 30_000 })], others: [aNode()] },
      ['buy 1 m@a'],
    ],
    ['by one server for many small apps', { wanted: [wants('a', 1), wants('b', 1), wants('c', 1)] }, ['buy 1 m@a']],
    [
      'by as many servers at once as the apps need',
      { wanted: [wants('a', 3), wants('b', 3), wants('c', 1)] },
      ['buy 1 m@a', 'buy 2 m@a'],
    ],
    [
      'no further while a server is on its way',
      { wanted: [wants('blog', 1)], servers: [server(1, 'starting', { ageMs: MINUTE })] },
      [],
    ],
    [
      'no further while an order has no answer yet',
      { wanted: [wants('blog', 1)], servers: [server(1, 'ordered', { ageMs: MINUTE })] },
      [],
    ],
    [
      'further if the server on its way is not enough',
      { wanted: [wants('a', 3), wants('b', 3)], servers: [server(1, 'starting', { ageMs: MINUTE })] },
      ['buy 2 m@b'],
    ],
    ['to keep memory free', { terms: terms({ warmBytes: GIB }), others: [aNode(FULL)] }, ['buy 1 m@a']],
    [
      'no further once that is on its way',
      { terms: terms({ warmBytes: GIB }), servers: [server(1, 'starting', { ageMs: MINUTE })] },
      [],
    ],
    [
      'by one server first, as long as nobody knows how large it is',
      { shape: undefined, wanted: [wants('a', 30), wants('b', 30)] },
      ['buy 1 m@a'],
    ],
    [
      'in the zone of the volume',
      { wanted: [wants('blog', 1, { zone: 'b', driver: 'ebs' })], others: [aNode({ zone: 'a' })] },
      ['buy 1 m@b'],
    ],
    [
      'where the other servers are not',
      { wanted: [wants('blog', 1)], servers: [server(1, 'serving', { node: FULL })] },
      ['buy 2 m@b'],
    ],
    [
      'for a volume, where nodes have memory and no slot',
      { wanted: [wants('blog', 1, { driver: 'ebs' })], others: [aNode({ freeSlots: 0 })] },
      ['buy 1 m@a'],
    ],
    [
      'for a driver that the nodes do not have',
      { wanted: [wants('blog', 1, { driver: 'ebs' })], others: [aNode({ drivers: ['loop'] })] },
      ['buy 1 m@a'],
    ],
    [
      'by the next offer, where the first has no capacity',
      {
        wanted: [wants('blog', 1)],
        offers: [
          { key: 'm@a', isFull: true },
          { key: 'n@a', isFull: false },
        ],
      },
      ['buy 1 n@a'],
    ],
    [
      'by a stopped server rather than a new one',
      { wanted: [wants('blog', 1)], servers: [server(2, 'standby')], terms: terms({ standby: 1 }) },
      ['start 2'],
    ],
    [
      'by a draining server rather than a stopped one',
      {
        wanted: [wants('blog', 1)],
        servers: [server(2, 'standby'), server(3, 'draining', { node: { ...DRAINED, toLeave: 1 } })],
        terms: terms({ standby: 1 }),
      },
      ['undrain 3'],
    ],
    [
      'by a stopped server of the right zone only',
      {
        wanted: [wants('blog', 1, { zone: 'b' })],
        servers: [server(2, 'standby', { machine: { zone: 'a' } })],
        terms: terms({ standby: 1 }),
      },
      ['buy 1 m@b'],
    ],
    [
      'into the lowest free number',
      {
        wanted: [wants('blog', 1)],
        servers: [server(1, 'serving', { node: FULL }), server(3, 'serving', { node: FULL })],
      },
      ['buy 2 m@b'],
    ],
  ]
  test.each(rows)('%s', (_, given, steps) => assert.deepEqual(said(given), steps))
})

describe('a fleet does not grow, and says why,', () => {
  const full = (...numbers: number[]) => numbers.map(number => server(number, 'serving', { node: FULL }))
  const rows: [string, Partial<World>, RegExp][] = [
    [
      'beyond its ceiling',
      { wanted: [wants('blog', 1)], servers: full(1, 2, 3) },
      /blog \(1GiB\): the fleet has its 3 servers already \(SHADOW_FLEET_MAX\)/,
    ],
    [
      'beyond its ceiling, though what fills it is drained by somebody, stopped, ending or refused',
      {
        wanted: [wants('blog', 1)],
        servers: [
          server(1, 'ending'),
          server(2, 'standby', { machine: { canStart: false } }),
          server(3, 'ordered', { record: { refused: 'no' }, ageMs: MINUTE }),
        ],
        terms: terms({ standby: 1 }),
      },
      /its 3 servers already/,
    ],
    [
      'into the number of a machine without a record',
      { wanted: [wants('blog', 1)], servers: full(1, 2), strays: [server(3, 'serving').machine!] },
      /its 3 servers already/,
    ],
    [
      'beyond a ceiling that was lowered',
      { wanted: [wants('blog', 1)], servers: full(2), terms: terms({ max: 1 }) },
      /its 1 servers already/,
    ],
    [
      'where nothing has capacity',
      { wanted: [wants('blog', 1)], offers: [{ key: 'm@a', isFull: true }] },
      /no capacity for m@a/,
    ],
    ['where nothing is sold in the zone', { wanted: [wants('blog', 1, { zone: 'c' })] }, /nothing is sold in zone c/],
    ['where nothing can be bought', { wanted: [wants('blog', 1)], offers: [] }, /no server is left to be started/],
    [
      'after new servers that failed, for a while',
      { wanted: [wants('blog', 1)], buysFrom: NOW + 4 * MINUTE },
      /the next one is ordered in 4m/,
    ],
    [
      'for an app that is larger than a server',
      { wanted: [wants('blog', 5)] },
      /blog reserves 5GiB, and a server of this fleet has 4GiB/,
    ],
    [
      'for a driver that its servers do not have',
      { wanted: [wants('blog', 1, { driver: 'pool' })] },
      /the driver pool, which the servers of this fleet do not have/,
    ],
  ]
  test.each(rows)('%s', (_, given, note) => {
    const { steps, notes } = decide(world(given))
    assert.deepEqual(
      steps.filter(({ do: what }) => what === 'buy' || what === 'start'),
      [],
    )
    assert.match(notes.join('\n'), note)
  })
})
