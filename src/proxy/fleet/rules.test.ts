import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { ServerPhase } from '../../model/fleet.ts'
import {
  DRAINED,
  FULL,
  GIB,
  GONE,
  MINUTE,
  NOW,
  nodeOf,
  server,
  terms,
  wants,
  world,
} from '../../testing/fleet-views.ts'
import { hasEnded, isMissing, observed } from './phases.ts'
import { decide, ORDER_LASTS_MS, STANDBY_LASTS_MS } from './rules.ts'
import { spareServers } from './spare.ts'
import type { NodeView, ServerView, World } from './world.ts'

const said = (given: Partial<World>): string[] =>
  decide(world(given)).steps.map(({ do: what, number, offer }) => `${what} ${number}${offer ? ` ${offer}` : ''}`)

describe('a server', () => {
  const rows: [string, Partial<World>, string[]][] = [
    [
      'that could be spared for long enough is drained',
      { servers: [server(1, 'serving', { view: { spareMs: 10 * MINUTE } })] },
      ['drain 1'],
    ],
    [
      'that could be spared for a shorter time is kept',
      { servers: [server(1, 'serving', { view: { spareMs: 9 * MINUTE } })] },
      [],
    ],
    [
      'with volumes on its disk is kept',
      { servers: [server(1, 'serving', { view: { spareMs: 60 * MINUTE, isKept: true } })] },
      [],
    ],
    [
      'that can be neither stopped nor ended is not drained',
      {
        servers: [server(1, 'serving', { machine: { canStop: false, canEnd: false }, view: { spareMs: 60 * MINUTE } })],
      },
      [],
    ],
    [
      'that drains is left alone while apps have to leave it',
      { servers: [server(1, 'draining', { node: { ...DRAINED, toLeave: 1 } })] },
      [],
    ],
    [
      'that does not know yet that it drains is left alone',
      { servers: [server(1, 'draining', { node: { isUsable: false, isDraining: true } })] },
      [],
    ],
    ['that is drained is ended', { servers: [server(1, 'draining', { node: DRAINED })] }, ['end 1']],
    [
      'that is drained is stopped, if stopped ones are wanted',
      { servers: [server(1, 'draining', { node: DRAINED })], terms: terms({ standby: 1 }) },
      ['stop 1'],
    ],
    [
      'that is drained is ended, if there are enough stopped ones',
      { servers: [server(1, 'draining', { node: DRAINED }), server(2, 'standby')], terms: terms({ standby: 1 }) },
      ['end 1'],
    ],
    [
      'that cannot be stopped is ended',
      {
        servers: [server(1, 'draining', { node: DRAINED, machine: { canStop: false } })],
        terms: terms({ standby: 1 }),
      },
      ['end 1'],
    ],
    [
      'that cannot be ended is stopped',
      { servers: [server(1, 'draining', { node: DRAINED, machine: { canEnd: false } })] },
      ['stop 1'],
    ],
    [
      'that is drained and does not answer is left alone',
      { servers: [server(1, 'draining', { node: { ...DRAINED, isGone: true } })] },
      [],
    ],
    [
      'that is stopped, one of too many, is ended',
      { servers: [server(1, 'standby'), server(2, 'standby')], terms: terms({ standby: 1 }) },
      ['end 2'],
    ],
    [
      'that has been stopped for so long that its certificate may end is ended',
      { servers: [server(1, 'standby', { ageMs: STANDBY_LASTS_MS + 1 })], terms: terms({ standby: 1 }) },
      ['end 1'],
    ],
    [
      'that is to be stopped is told so again',
      { servers: [server(1, 'stopping')], terms: terms({ standby: 1 }) },
      ['stop 1'],
    ],
    [
      'that is stopping is told nothing',
      { servers: [server(1, 'stopping', { machine: { state: 'stopping' } })], terms: terms({ standby: 1 }) },
      [],
    ],
    [
      'that is to start and has stopped is started again',
      { servers: [server(1, 'starting', { ageMs: MINUTE, machine: { state: 'stopped' } })] },
      ['start 1'],
    ],
    [
      'that has started, and was drained before it was stopped, is undrained',
      { servers: [server(1, 'starting', { ageMs: MINUTE, node: { isUsable: false, isDraining: true } })] },
      ['undrain 1'],
    ],
    ['that never becomes a node is ended', { servers: [server(1, 'starting', { ageMs: 11 * MINUTE })] }, ['end 1']],
    [
      'that never becomes a node, and cannot be ended, is stopped',
      { servers: [server(1, 'starting', { ageMs: 11 * MINUTE, machine: { canEnd: false } })] },
      ['stop 1'],
    ],
    [
      'whose node has been silent for long is ended',
      { servers: [server(1, 'serving', { node: { ...GONE, silentMs: 11 * MINUTE } })] },
      ['end 1'],
    ],
    [
      'whose node has been silent for a short time is left alone',
      { servers: [server(1, 'serving', { node: { ...GONE, silentMs: 9 * MINUTE } })] },
      [],
    ],
    ['whose node was removed is ended', { servers: [server(1, 'serving', { node: null })] }, ['end 1']],
    [
      'whose node was removed just now is left alone',
      { servers: [server(1, 'serving', { node: null, ageMs: MINUTE })] },
      [],
    ],
    [
      'whose machine has ended is forgotten',
      { servers: [server(1, 'serving', { machine: { state: 'ended' } })] },
      ['forget 1'],
    ],
    [
      'whose machine is not listed any more is forgotten',
      { servers: [server(1, 'serving', { machine: null, view: { missingMs: 5 * MINUTE } })] },
      ['forget 1'],
    ],
    [
      'whose machine is not listed for a moment is left alone',
      { servers: [server(1, 'starting', { machine: null, ageMs: MINUTE, view: { missingMs: MINUTE } })] },
      [],
    ],
    [
      'whose machine is going is left alone',
      { servers: [server(1, 'serving', { machine: { state: 'ending' }, node: GONE })] },
      [],
    ],
    [
      'that is ending is told so again',
      { servers: [server(1, 'ending', { machine: { state: 'running' } })] },
      ['end 1'],
    ],
    [
      'whose order was refused keeps its number while an earlier front may still give that order',
      { servers: [server(1, 'ordered', { record: { refused: 'full' }, ageMs: ORDER_LASTS_MS })] },
      [],
    ],
    [
      'whose order was refused is forgotten after that',
      { servers: [server(1, 'ordered', { record: { refused: 'full' }, ageMs: ORDER_LASTS_MS + 1 })] },
      ['forget 1'],
    ],
    [
      'is not stopped and started in one breath',
      { servers: [server(1, 'draining', { node: DRAINED })], wanted: [wants('blog', 1)] },
      ['undrain 1'],
    ],
  ]
  test.each(rows)('%s', (_, given, steps) => assert.deepEqual(said(given), steps))
})

describe('servers that could be spared', () => {
  const serving = (number: number, node: Partial<NodeView> = {}, view: Partial<ServerView> = {}) =>
    server(number, 'serving', { node, view })
  const rows: [string, Partial<World>, number[]][] = [
    ['are those without awake apps', { servers: [serving(1), serving(2)] }, [1, 2]],
    [
      'leave so much memory free as is to be free',
      { servers: [serving(1), serving(2)], terms: terms({ warmBytes: GIB }) },
      [2],
    ],
    [
      'are none while an app is wanted',
      { servers: [serving(1), serving(2, FULL)], wanted: [wants('blog', 5), wants('a', 4), wants('b', 4)] },
      [],
    ],
    [
      'are one at a time where apps have to go elsewhere',
      {
        servers: [
          serving(1, { awake: 1, freeBytes: 3 * GIB }),
          serving(2, { awake: 1, freeBytes: 3 * GIB }),
          serving(3, { awake: 1, freeBytes: 3 * GIB }),
        ],
      },
      [3],
    ],
    [
      'are none if their apps have no room elsewhere',
      { servers: [serving(1, { awake: 2, freeBytes: 2 * GIB }), serving(2, { awake: 2, freeBytes: 2 * GIB })] },
      [],
    ],
    ['are the emptiest ones', { servers: [serving(1), serving(2, { awake: 3, freeBytes: GIB })] }, [1]],
    ['are none with volumes on their disks', { servers: [serving(1, {}, { isKept: true })] }, []],
    ['are none that drain already', { servers: [server(1, 'draining', { node: DRAINED })] }, []],
  ]
  test.each(rows)('%s', (_, given, numbers) =>
    assert.deepEqual([...spareServers(world(given))].sort(), numbers.map(nodeOf)),
  )
})

describe('by itself a server comes', () => {
  const rows: [string, ServerView, ServerPhase][] = [
    [
      'from ordered to starting, once its machine is listed',
      server(1, 'ordered', { machine: { state: 'pending' } }),
      'starting',
    ],
    ['from starting to serving, once it takes apps', server(1, 'starting', { node: {} }), 'serving'],
    [
      'from starting nowhere, while its node takes no apps',
      server(1, 'starting', { node: { isUsable: false } }),
      'starting',
    ],
    [
      'from serving to standby, if it was stopped by hand',
      server(1, 'serving', { machine: { state: 'stopped' } }),
      'standby',
    ],
    [
      'from draining to standby, if it was stopped by hand',
      server(1, 'draining', { machine: { state: 'stopped' } }),
      'standby',
    ],
    ['from draining to serving, if it was uncordoned by hand', server(1, 'draining', { node: {} }), 'serving'],
    [
      'from draining nowhere, while the list of nodes may be older than the drain',
      server(1, 'draining', { node: {}, ageMs: 29_000 }),
      'draining',
    ],
    ['from stopping to standby', server(1, 'stopping', { machine: { state: 'stopped' } }), 'standby'],
    [
      'from standby to starting, if it was started by hand',
      server(1, 'standby', { machine: { state: 'pending' } }),
      'starting',
    ],
    ['from ending nowhere', server(1, 'ending', { machine: { state: 'running' } }), 'ending'],
  ]
  test.each(rows)('%s', (_, view, phase) => assert.equal(observed(view, NOW).phase, phase))

  test('to an end when the cloud says so; one that is not listed is missing, and an order without an answer is neither', () => {
    assert.ok(hasEnded(server(1, 'serving', { machine: { state: 'ended' } })))
    const unlisted = { machine: null, view: { missingMs: 60 * MINUTE } }
    assert.deepEqual(
      [hasEnded(server(1, 'serving', unlisted)), isMissing(server(1, 'serving', unlisted))],
      [false, true],
    )
    assert.deepEqual(
      [hasEnded(server(1, 'ordered', unlisted)), isMissing(server(1, 'ordered', unlisted))],
      [false, false],
    )
  })
})
