import { SIGNATURE_LASTS } from '../../lib/ec2/client.ts'
import type { PlannedStep } from '../../model/fleet.ts'
import { sayMs } from '../../model/quantities.ts'
import { growth, type Need } from './growth.ts'
import { hasEnded, isMissing } from './phases.ts'
import type { ServerView, World } from './world.ts'

export type Step = Pick<PlannedStep, 'do' | 'why'> & {
  readonly number: number
  /** Of a server that is there; left out for one that is to be bought. */
  readonly node?: ServerView['record']['node']
  readonly offer?: string | undefined
}
export type Decision = { readonly steps: readonly Step[]; readonly notes: readonly string[] }

/** An order may still be carried out so long after it was sent, though its front leads no more; clocks may differ by minutes. @internal */
export const ORDER_LASTS_MS = SIGNATURE_LASTS + 5 * 60_000
/** A stopped server is not kept longer: its certificate must be good when it starts. They are renewed with a third of a week to go. @internal */
export const STANDBY_LASTS_MS = 48 * 3_600_000

/** What the fleet does next. It has no effect, and the same world gives the same steps. */
export function decide(world: World): Decision {
  const { needs, notes } = growth(world)
  const ends = world.servers.flatMap(view => ending(view, world))
  const ended = new Set(ends.map(({ number }) => number))
  const left = world.servers.filter(({ record }) => !ended.has(record.number))
  const more = grow(world, left, needs)
  const used = new Set(more.steps.map(({ number }) => number))
  const rest = left.filter(({ record }) => !used.has(record.number)).flatMap(view => step(view, world))
  return { steps: [...ends, ...more.steps, ...rest, ...surplus(world, left, used)], notes: [...notes, ...more.notes] }
}

const sinceMs = ({ record }: ServerView, { now }: World): number => now - Date.parse(record.since)
const of = (kind: Step['do'], { record }: ServerView, why: string): Step => ({
  do: kind,
  number: record.number,
  node: record.node,
  why,
})

/** Servers that have ended, and those that have to, whatever else is needed. */
function ending(view: ServerView, world: World): Step[] {
  const { record, machine, node } = view
  const { joinWithinMs } = world.terms
  const end = (why: string): Step[] => (machine?.canEnd === true && !view.isKept ? [of('end', view, why)] : [])
  if (hasEnded(view))
    return [of('forget', view, record.phase === 'ending' ? 'its machine has ended' : 'its machine has ended by itself')]
  if (isMissing(view)) return view.isKept ? [] : [of('forget', view, 'its machine is not listed any more')]
  if (record.refused !== undefined)
    return machine === undefined && sinceMs(view, world) > ORDER_LASTS_MS
      ? [of('forget', view, `its order was refused: ${record.refused}`)]
      : []
  if (record.phase === 'ending') return [of('end', view, 'it is no node any more')]
  if (machine?.state === 'ending') return []
  const age = sinceMs(view, world)
  if (record.phase === 'starting' && age > joinWithinMs) {
    const why = `it has not become a node within ${sayMs(joinWithinMs)}`
    return machine?.canEnd === false ? [of('stop', view, why)] : end(why)
  }
  if (
    record.phase === 'serving' &&
    node?.isGone !== false &&
    machine?.state === 'running' &&
    world.now - lastSeen(view, world) > joinWithinMs
  )
    return end(`its machine runs, and its node has been silent for ${sayMs(joinWithinMs)}`)
  if (record.phase === 'standby' && age > STANDBY_LASTS_MS)
    return end(`it has been stopped for ${sayMs(STANDBY_LASTS_MS)}`)
  return []
}

/** Since when, by what is known, the node of a serving server may have been silent. */
const lastSeen = ({ record, node }: ServerView, { now }: World): number =>
  Math.max(Date.parse(record.since), node?.silentMs === undefined ? 0 : now - node.silentMs)

/** Meets the needs: servers that are about to be given up first, then stopped ones, then new ones. */
function grow(world: World, left: readonly ServerView[], needs: readonly Need[]): { steps: Step[]; notes: string[] } {
  const steps: Step[] = []
  const notes = new Set<string>()
  const taken = new Set<number>()
  const fits = ({ machine, node }: ServerView, { zone }: Need): boolean => {
    const its = machine?.zone ?? node?.zone
    return zone === undefined || its === undefined || its === zone
  }
  for (const need of needs) {
    const free = left.filter(view => !taken.has(view.record.number) && fits(view, need))
    const draining = free.find(({ record, node }) => record.phase === 'draining' && node?.isGone === false)
    const standby = free.find(
      ({ record, machine }) => record.phase === 'standby' && machine?.state === 'stopped' && machine.canStart,
    )
    const reused = draining ?? standby
    if (reused !== undefined) {
      taken.add(reused.record.number)
      steps.push(of(draining ? 'undrain' : 'start', reused, need.why))
      continue
    }
    const bought = buy(world, left, taken, need)
    if (typeof bought === 'string') notes.add(`${need.why}: ${bought}`)
    else {
      taken.add(bought.number)
      steps.push(bought)
    }
  }
  return { steps, notes: [...notes] }
}

function buy(
  world: World,
  left: readonly ServerView[],
  taken: ReadonlySet<number>,
  { why, zone }: Need,
): Step | string {
  const { terms, strays, servers, offers, buysFrom, now } = world
  if (offers.length === 0) return 'no server is left to be started'
  const used = new Set([...servers.map(({ record }) => record.number), ...strays.map(({ number }) => number), ...taken])
  if (used.size >= terms.max) return `the fleet has its ${terms.max} servers already (SHADOW_FLEET_MAX)`
  if (now < buysFrom) return `the last new servers have failed; the next one is ordered in ${sayMs(buysFrom - now)}`
  const here = offers.filter(offer => zone === undefined || offer.zone === undefined || offer.zone === zone)
  if (here.length === 0) return `nothing is sold in zone ${zone}, where the volume is`
  const open = here.filter(({ isFull }) => !isFull)
  if (open.length === 0) return `no capacity for ${here.map(({ key }) => key).join(', ')}`
  let number = 1
  while (used.has(number)) number += 1
  if (number > terms.max) return `all numbers up to ${terms.max} (SHADOW_FLEET_MAX) are taken`
  const [first] = open
  const alike = open.filter(({ key }) => kindOf(key) === kindOf(first?.key ?? ''))
  const inZone = (key: string): number => left.filter(({ record }) => record.offer === key).length
  const [offer] = alike.toSorted((a, b) => inZone(a.key) - inZone(b.key))
  return { do: 'buy', number, offer: offer?.key, why }
}

/** The part of an offer before the place where it is sold. */
const kindOf = (key: string): string => key.split('@', 1)[0] ?? key

/** What a server that is there does next by itself. */
function step(view: ServerView, world: World): Step[] {
  const { record, machine, node } = view
  switch (record.phase) {
    case 'starting':
      if (machine?.state === 'stopped' && machine.canStart) return [of('start', view, 'it was to be started')]
      return node?.isDraining === true ? [of('undrain', view, 'it has started')] : []
    case 'serving':
      if (
        view.spareMs < world.terms.idleMs ||
        view.isKept ||
        machine === undefined ||
        !(machine.canStop || machine.canEnd)
      )
        return []
      return [of('drain', view, `the fleet could do without it for ${sayMs(world.terms.idleMs)}`)]
    case 'stopping':
      return machine?.state === 'running' ? [of('stop', view, 'it is to be stopped')] : []
    default:
      return []
  }
}

/** Servers that are drained are stopped, as long as stopped ones are wanted, or ended; so are stopped ones that are too many. */
function surplus({ terms }: World, left: readonly ServerView[], used: ReadonlySet<number>): Step[] {
  let kept = left.filter(({ record }) => record.phase === 'standby' || record.phase === 'stopping').length
  const steps: Step[] = []
  for (const view of left.toSorted((a, b) => b.record.number - a.record.number)) {
    const { record, machine, node } = view
    if (used.has(record.number) || view.isKept || machine === undefined) continue
    if (record.phase === 'draining' && node?.isDraining === true && node.toLeave === 0 && !node.isGone) {
      if (machine.canStop && (kept < terms.standby || !machine.canEnd)) {
        kept += 1
        steps.push(of('stop', view, 'nothing runs on it'))
      } else if (machine.canEnd) steps.push(of('end', view, 'nothing runs on it'))
    }
    if (record.phase === 'standby' && machine.canEnd && kept > terms.standby) {
      kept -= 1
      steps.push(of('end', view, `${terms.standby} stopped ones are kept`))
    }
  }
  return steps
}
