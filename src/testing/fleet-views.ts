import type { ServerPhase, ServerRecord, Wanted } from '../model/fleet.ts'
import { nodeName } from '../model/names.ts'
import type { Server } from '../proxy/fleet/fleet.ts'
import type { NodeView, ServerView, World } from '../proxy/fleet/world.ts'

export const NOW = Date.parse('2026-11-29T12:00:00.000Z')
export const GIB = 2 ** 30
export const MINUTE = 60_000
export const nodeOf = (number: number) => nodeName(`prod-${number}-abcdef`)

export const aNode = (changes: Partial<NodeView> = {}): NodeView => ({
  name: nodeName('node-1'),
  isUsable: true,
  isGone: false,
  isDraining: false,
  awake: 0,
  bytes: 4 * GIB,
  freeBytes: 4 * GIB,
  idleBytes: 0,
  freeSlots: 10,
  drivers: ['loop', 'ebs'],
  ...changes,
})
export const FULL: Partial<NodeView> = { awake: 4, freeBytes: 0 }
export const GONE: Partial<NodeView> = { isUsable: false, isGone: true }
export const DRAINED: Partial<NodeView> = { isUsable: false, isDraining: true, toLeave: 0 }

type Changes = {
  record?: Partial<ServerRecord>
  machine?: Partial<Server> | null
  node?: Partial<NodeView> | null
  ageMs?: number
  view?: Partial<ServerView>
}
/** A server in this phase, for an hour, with the machine and the node that go with it. */
export function server(
  number: number,
  phase: ServerPhase,
  { record, machine, node, ageMs = 60 * MINUTE, view }: Changes = {},
): ServerView {
  const name = nodeOf(number)
  const since = new Date(NOW - ageMs).toISOString()
  const state = phase === 'standby' ? 'stopped' : phase === 'ending' ? 'ending' : 'running'
  const its = {
    id: `i-${number}`,
    number,
    node: name,
    state,
    offer: 'm@a',
    canStop: true,
    canStart: true,
    canEnd: true,
  } as const
  const isNode = phase === 'serving' || phase === 'draining'
  return {
    record: { number, node: name, offer: 'm@a', phase, since, epoch: 1, ...record },
    machine: machine === null || (machine === undefined && phase === 'ordered') ? undefined : { ...its, ...machine },
    node: node === null || (node === undefined && !isNode) ? undefined : aNode({ name, ...node }),
    missingMs: 0,
    spareMs: 0,
    isKept: false,
    ...view,
  }
}
export const world = (changes: Partial<World> = {}): World => ({
  now: NOW,
  epoch: 1,
  terms: { max: 3, warmBytes: 0, idleMs: 10 * MINUTE, joinWithinMs: 10 * MINUTE, standby: 0 },
  servers: [],
  strays: [],
  others: [],
  wanted: [],
  offers: [
    { key: 'm@a', zone: 'a', isFull: false },
    { key: 'm@b', zone: 'b', isFull: false },
  ],
  shape: { bytes: 4 * GIB, volumeSlots: 10, drivers: ['loop', 'ebs'] },
  buysFrom: 0,
  ...changes,
})
export const terms = (changes: Partial<World['terms']>) => ({ ...world().terms, ...changes })
export const wants = (app: string, gib: number, changes: Partial<Wanted> = {}): Wanted => ({
  app,
  bytes: gib * GIB,
  firstMs: 1_000,
  lastMs: 0,
  ...changes,
})
