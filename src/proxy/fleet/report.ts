import type { FleetReport, PlannedStep, SeenServer } from '../../model/fleet.ts'
import type { Fleet } from './fleet.ts'
import type { Decision, Step } from './rules.ts'
import type { ServerView, World } from './world.ts'

type Options = {
  readonly world: World
  readonly decision: Decision
  readonly fleet: Pick<Fleet, 'price'>
  readonly driver: string
  readonly isDryRun: boolean
  readonly prices: string
  readonly whyKept: (node: ServerView['record']['node']) => string | undefined
  /** What went wrong lately. */
  readonly faults: readonly string[]
}

/** What the admin of a fleet is told: what the front that leads it has seen, what it does next, and what that costs. */
export function reportOf({ world, decision, fleet, driver, isDryRun, prices, whyKept, faults }: Options): FleetReport {
  const costOf = ({ record, machine }: ServerView): number | undefined =>
    machine === undefined || machine.state === 'ended' || machine.state === 'ending'
      ? 0
      : fleet.price(record.offer || machine.offer, machine.state === 'stopped')?.usdPerHour
  const servers = world.servers.map((view): SeenServer => {
    const { record, machine, node } = view
    const usdPerHour = costOf(view)
    const note = record.refused ?? whyKept(record.node)
    return {
      number: record.number,
      node: record.node,
      phase: record.phase,
      since: record.since,
      offer: record.offer,
      ...(machine !== undefined && { machine: machine.id, state: machine.state }),
      ...(machine?.zone !== undefined && { zone: machine.zone }),
      ...(node !== undefined && { awake: node.awake, freeBytes: node.freeBytes }),
      ...(usdPerHour !== undefined && { usdPerHour }),
      ...(note !== undefined && { note }),
    }
  })
  const costs = servers.map(({ usdPerHour }) => usdPerHour)
  const total = costs.every(cost => cost !== undefined) ? costs.reduce((sum, cost) => sum + cost, 0) : undefined
  const strays = world.strays.map(
    ({ id, number }) =>
      `${id} has the number ${number} of another server, and is left alone: look at it, and end it by hand`,
  )
  return {
    at: new Date(world.now).toISOString(),
    driver,
    isDryRun,
    max: world.terms.max,
    servers,
    plan: decision.steps.map(step => planned(step, world, fleet)),
    notes: [...decision.notes, ...strays, ...faults],
    ...(total !== undefined && { usdPerHour: total }),
    prices,
  }
}

function planned(step: Step, { servers }: World, fleet: Pick<Fleet, 'price'>): PlannedStep {
  const { do: what, node, offer, why } = step
  const view = servers.find(({ record }) => record.node === node)
  const its = offer ?? view?.record.offer ?? ''
  const price = (isStopped: boolean): number | undefined => fleet.price(its, isStopped)?.usdPerHour
  const [running, stopped] = [price(false), price(true)]
  const isStopped = view?.machine?.state === 'stopped'
  const now = isStopped ? stopped : running
  const change = {
    buy: running,
    start: minus(running, stopped),
    stop: minus(stopped, running),
    end: now === undefined ? undefined : -now,
    undrain: 0,
    drain: 0,
    forget: 0,
  }[what]
  return {
    do: what,
    node: node ?? `number ${step.number}`,
    ...(offer !== undefined && { offer }),
    why,
    ...(change !== undefined && { usdPerHour: change }),
  }
}

const minus = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a - b
