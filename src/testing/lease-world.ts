import assert from 'node:assert/strict'
import type { LeaseTimes } from '../model/intervals.ts'
import type { Leased, releaseLease, renewLease, takeLease } from '../model/lease.ts'
import { type NodeName, nodeName } from '../model/names.ts'
import type { Step } from './explore.ts'

/**
 * A small world for exhaustive exploration: one app with a volume on storage that keeps no node out, two nodes with a guard process each,
 * two fronts, one bucket, masters whose clocks differ, messages that are late or lost, processes that crash or are stopped.
 * Time goes in ticks. Whatever has a deadline happens before the tick that would pass it.
 */
export type World = {
  readonly leased: Leased
  readonly nodes: readonly [LeaseNode, LeaseNode]
  readonly fronts: readonly [LeaseFront, LeaseFront]
  readonly messages: readonly Message[]
  /** How many more crashes, stops and lost messages there may be. */
  readonly faults: number
}
type Index = 0 | 1

type LeaseNode = {
  readonly process: 'up' | 'stopped' | 'dead'
  /** Which run of the process it is: a new one knows nothing of the calls of the last one. */
  readonly run: number
  readonly isAsking: boolean
  /** The lease as the process knows it: for how many ticks it may be written under, and when it is renewed. */
  readonly held: { readonly epoch: number; readonly safeFor: number; readonly renewIn: number } | null
  /** Whether its app runs with the volume mounted. */
  readonly writes: boolean
  /** In how many ticks the app must have ended, since its lease was lost or it goes to sleep. */
  readonly stopIn: number | null
  /** In how many ticks the guard ends the app; it outlives the process. */
  readonly guardIn: number | null
  /** Fronts that wait here for the app. */
  readonly waiting: readonly Index[]
}

type LeaseFront = {
  readonly pin: Index
  /** How many requests it will still send. */
  readonly left: number
  readonly state: 'idle' | 'waits' | 'answered' | 'failed'
  /** Whether this request went to another node already. */
  readonly followed: boolean
}

type Message = {
  readonly node: Index
  readonly run: number
  readonly age: number
  readonly epoch: number
} & (
  | { readonly kind: 'take' | 'renew' | 'release' }
  // The answer to a `take`, which is new, or to a `renew`.
  | { readonly kind: 'granted'; readonly isNew: boolean }
  | { readonly kind: 'refused'; readonly isNew: boolean; readonly holder: Index | null }
)

/** What the product decides; a test may put a fault into each. */
export type Rules = {
  readonly take: typeof takeLease
  readonly renew: typeof renewLease
  readonly release: typeof releaseLease
  readonly times: LeaseTimes
  /** How much the clocks of two masters differ, in ticks. */
  readonly skew: number
  /** From when a node counts its lease: its age when the answer comes, or 0. */
  readonly countsFrom: (age: number) => number
  /** The node that a front asks next, when one has said that the other one has the volume; undefined: the client gets an error. */
  readonly follow: (from: NodeName, holder: NodeName) => NodeName | undefined
}

export const NODES = [nodeName('a'), nodeName('b')] as const
const NEW_NODE: LeaseNode = {
  process: 'up',
  run: 0,
  isAsking: false,
  held: null,
  writes: false,
  stopIn: null,
  guardIn: null,
  waiting: [],
}

/** Two fronts that are pinned to two nodes, before either has sent its requests. */
export const newWorld = ({ faults, requests }: { faults: number; requests: readonly [number, number] }): World => ({
  leased: { lease: null, epoch: 0 },
  nodes: [NEW_NODE, NEW_NODE],
  fronts: [
    { pin: 0, left: requests[0], state: 'idle', followed: false },
    { pin: 1, left: requests[1], state: 'idle', followed: false },
  ],
  messages: [],
  faults,
})

/** All that may happen next. */
export function stepsOf(world: World, rules: Rules): Step<World>[] {
  const each = ([0, 1] as const).flatMap(at => [
    ...ofFront(world, at),
    ...ofNode(world, at, rules),
    ...ofFaults(world, at),
  ])
  const messages = world.messages.flatMap((_, at) => ofMessage(world, at, rules))
  const steps = [...each, ...messages]
  if (!isDue(world) && !isQuiet(world)) steps.push(['a tick', tick(world)])
  return steps
}

/** Whether something has its deadline now. */
const isDue = ({ nodes, messages }: World): boolean =>
  messages.some(
    message => message.age === TOO_OLD - 1 && !(isAnswer(message) && nodes[message.node].process === 'stopped'),
  ) ||
  nodes.some(
    ({ process, held, writes, stopIn, guardIn }) =>
      guardIn === 0 ||
      (process === 'up' && (stopIn === 0 || (held !== null && (held.safeFor === 0 || (!writes && stopIn === null))))),
  )

/** Whether only time can pass, and changes nothing. */
const isQuiet = ({ nodes, fronts, messages, leased }: World): boolean =>
  messages.length === 0 &&
  leased.lease === null &&
  fronts.every(({ state, left }) => state !== 'waits' && left === 0) &&
  nodes.every(({ held, stopIn, guardIn }) => held === null && stopIn === null && guardIn === null)

/** A node waits for an answer for less than so many ticks. Older messages are all the same. */
const TOO_OLD = 2

const less = (n: number | null): number | null => (n === null ? null : Math.max(0, n - 1))

function tick(world: World): World {
  const { leased } = world
  const left = leased.lease === null ? 0 : leftOf(leased)
  const aged: World = {
    ...world,
    // Below 0, how long ago the lease has ended changes nothing.
    leased:
      leased.lease === null ? leased : { ...leased, lease: { ...leased.lease, until: at(Math.max(-1, left - 1)) } },
    nodes: both(world.nodes, node => ({
      ...node,
      held: node.held && {
        ...node.held,
        safeFor: Math.max(0, node.held.safeFor - 1),
        renewIn: Math.max(0, node.held.renewIn - 1),
      },
      stopIn: less(node.stopIn),
      guardIn: less(node.guardIn),
    })),
    messages: world.messages.map(message => ({ ...message, age: Math.min(TOO_OLD, message.age + 1) })),
  }
  const isOver = (message: Message): boolean => isAnswer(message) && message.age >= TOO_OLD
  return aged.messages
    .filter(isOver)
    .reduce<World>(
      (now, { node, run }) => (now.nodes[node].run === run ? withNode(now, node, { isAsking: false }) : now),
      { ...aged, messages: aged.messages.filter(message => !isOver(message)) },
    )
}

const isAnswer = ({ kind }: Message): boolean => kind === 'granted' || kind === 'refused'

const at = (ticks: number): string => new Date(ticks).toISOString()
const leftOf = ({ lease }: Leased): number => Date.parse(lease?.until ?? '')

function ofFront(world: World, front: Index): Step<World>[] {
  const { pin, left, state } = world.fronts[front]
  if (state === 'waits' || left === 0) return []
  const asked = withFront(world, front, { left: left - 1, state: 'waits', followed: false })
  return [[`front ${front} asks ${NODES[pin]}`, arrive(asked, front, pin)]]
}

/** A request arrives at a node. */
function arrive(world: World, front: Index, at: Index): World {
  const node = world.nodes[at]
  if (node.process === 'dead') return withFront(world, front, { state: 'failed' })
  const waits = withNode(world, at, { waiting: [...node.waiting, front].sort() })
  return node.process === 'up' && node.writes && node.stopIn === null && node.held !== null
    ? answered(waits, at)
    : waits
}

function ofNode(world: World, n: Index, rules: Rules): Step<World>[] {
  const node = world.nodes[n]
  const { held, writes, stopIn, guardIn, waiting, isAsking } = node
  const name = NODES[n]
  const steps: Step<World>[] = []
  if (guardIn === 0)
    steps.push([
      `the guard of ${name} ends its app`,
      withNode(world, n, { writes: false, guardIn: null, stopIn: null }),
    ])
  if (node.process !== 'up') return steps
  const ask = (kind: 'take' | 'renew', epoch: number): World =>
    send(withNode(world, n, { isAsking: true }), { kind, node: n, run: node.run, age: 0, epoch })

  if (stopIn !== null) {
    const ended = withNode(world, n, { writes: false, stopIn: null, guardIn: null, held: null })
    const released =
      held === null ? ended : send(ended, { kind: 'release', node: n, run: node.run, age: 0, epoch: held.epoch })
    steps.push([`${name} has stopped its app`, released])
    if (held !== null && held.safeFor === 0)
      steps.push([`${name} loses its lease as it stops`, withNode(world, n, { held: null })])
    return steps
  }
  if (held !== null && held.safeFor === 0) {
    steps.push([
      `${name} loses its lease`,
      withNode(world, n, { held: null, stopIn: writes ? rules.times.stopWithin : null }),
    ])
    return steps
  }
  if (held !== null && held.renewIn === 0 && !isAsking) steps.push([`${name} renews`, ask('renew', held.epoch)])
  if (held === null && !isAsking && (waiting.length > 0 || writes))
    steps.push([`${name} asks for the lease`, ask('take', 0)])
  if (held !== null && !writes)
    steps.push([`${name} starts its app`, answered(withNode(world, n, { writes: true }), n)])
  if (held !== null && writes)
    steps.push([`${name} puts its app to sleep`, withNode(world, n, { stopIn: rules.times.stopWithin })])
  return steps
}

/** All who wait at the node are answered. */
function answered(world: World, n: Index): World {
  const { waiting } = world.nodes[n]
  const told = waiting.reduce(
    (now, front) => withFront(now, front, { pin: n, state: 'answered', followed: false }),
    world,
  )
  return withNode(told, n, { waiting: [] })
}

function ofFaults(world: World, n: Index): Step<World>[] {
  const node = world.nodes[n]
  const name = NODES[n]
  const steps: Step<World>[] = []
  if (node.process === 'stopped') steps.push([`${name} goes on`, withNode(world, n, { process: 'up' })])
  if (node.process === 'dead')
    steps.push([`${name} is started again`, withNode(world, n, { process: 'up', run: node.run + 1 })])
  if (world.faults === 0) return steps
  const less = { ...world, faults: world.faults - 1 }
  if (node.process === 'up') steps.push([`${name} is stopped`, withNode(less, n, { process: 'stopped' })])
  if (node.process !== 'dead') {
    const failed = node.waiting.reduce((now, front) => withFront(now, front, { state: 'failed' }), less)
    const gone = { process: 'dead', held: null, stopIn: null, isAsking: false, waiting: [] } as const
    steps.push([`${name} crashes`, withNode(failed, n, gone)])
  }
  return steps
}

function ofMessage(world: World, index: number, rules: Rules): Step<World>[] {
  const message = world.messages[index]
  assert(message !== undefined)
  const without = { ...world, messages: world.messages.filter((_, other) => other !== index) }
  const { kind, node: n } = message
  const node = world.nodes[n]
  const isOwn = node.run === message.run && node.process !== 'dead'
  const steps: Step<World>[] = []
  if (kind === 'granted' || kind === 'refused') {
    if (!isOwn) return [[`an answer finds ${NODES[n]} gone`, without]]
    if (node.process === 'stopped') return []
    steps.push([`${NODES[n]} reads that its lease is ${kind}`, readAnswer(without, message, rules)])
  } else
    for (const ahead of [0, rules.skew])
      steps.push([`a master ${ahead} ahead reads ${kind} of ${NODES[n]}`, readCall(without, message, rules, ahead)])
  if (world.faults > 0) {
    const fewer = { ...without, faults: world.faults - 1 }
    const given = isOwn && kind !== 'release' ? withNode(fewer, n, { isAsking: false }) : fewer
    steps.push([`${kind} of ${NODES[n]} is lost`, given])
    // A late answer is a lost one. A late call may still be read.
    if (!isAnswer(message) && message.age < TOO_OLD)
      steps.push([`${kind} of ${NODES[n]} is late`, send(given, { ...message, age: TOO_OLD })])
  }
  return steps
}

/** A master whose clock is `ahead` ticks ahead reads the call, and the bucket decides. */
function readCall(world: World, { kind, node: n, epoch, run, age }: Message, rules: Rules, ahead: number): World {
  const { leased } = world
  const name = NODES[n]
  if (kind === 'release') return { ...world, leased: rules.release(leased, name, epoch) }
  const until = at(ahead + rules.times.lasts)
  const next = kind === 'take' ? rules.take(leased, name, until, ahead) : rules.renew(leased, name, epoch, until)
  const reply = { node: n, run, age, isNew: kind === 'take' }
  if (age >= TOO_OLD) return { ...world, leased: next ?? leased }
  if (next !== undefined)
    return send({ ...world, leased: next }, { ...reply, kind: 'granted', epoch: next.lease?.epoch ?? 0 })
  const holder = leased.lease === null ? null : (NODES.indexOf(leased.lease.node as (typeof NODES)[number]) as Index)
  return send(world, { ...reply, kind: 'refused', epoch, holder })
}

/** The node reads what a master has answered. */
function readAnswer(world: World, message: Message, rules: Rules): World {
  const { node: n, epoch, age } = message
  const { times } = rules
  const told = withNode(world, n, { isAsking: false })
  const node = told.nodes[n]
  if (message.kind !== 'granted' && message.kind !== 'refused') return told
  // A renewal of a lease that was lost or given up meanwhile changes nothing.
  if (!message.isNew && node.held?.epoch !== epoch) return told
  if (message.kind === 'granted') {
    const from = rules.countsFrom(age)
    const safeFor = Math.max(0, times.lasts - times.clockSkew - times.stopWithin - from)
    const held = { epoch, safeFor, renewIn: times.renewedEvery }
    return withNode(told, n, { held, guardIn: Math.max(0, times.guardedFor - from) })
  }
  const stopped = node.writes
    ? withNode(told, n, { held: null, stopIn: times.stopWithin })
    : withNode(told, n, { held: null })
  return node.waiting.reduce(
    (now, front) => turnedAway(now, front, n, message.holder, rules),
    withNode(stopped, n, { waiting: [] }),
  )
}

/** A front is told that another node has the volume. */
function turnedAway(world: World, front: Index, from: Index, holder: Index | null, rules: Rules): World {
  const { followed } = world.fronts[front]
  const next = holder === null || followed ? undefined : rules.follow(NODES[from], NODES[holder])
  if (next === undefined) return withFront(world, front, { state: 'failed' })
  const to = NODES.indexOf(next as (typeof NODES)[number]) as Index
  return arrive(withFront(world, front, { pin: to, followed: true }), front, to)
}

// Messages may overtake one another, so their order means nothing.
const send = (world: World, message: Message): World => ({
  ...world,
  messages: [...world.messages, message].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
})

const both = <T>([first, second]: readonly [T, T], change: (one: T) => T): [T, T] => [change(first), change(second)]

function withNode(world: World, n: Index, change: Partial<LeaseNode>): World {
  const node = { ...world.nodes[n], ...change }
  return { ...world, nodes: n === 0 ? [node, world.nodes[1]] : [world.nodes[0], node] }
}

function withFront(world: World, n: Index, change: Partial<LeaseFront>): World {
  const front = { ...world.fronts[n], ...change }
  return { ...world, fronts: n === 0 ? [front, world.fronts[1]] : [world.fronts[0], front] }
}
