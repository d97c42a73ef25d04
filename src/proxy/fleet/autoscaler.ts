import { randomBytes, randomUUID } from 'node:crypto'
import type { CallAnswer } from '../../api/call-shape.ts'
import type { MasterClient } from '../../api/client.ts'
import type { fleetCalls } from '../../api/fleet-calls.ts'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type FleetName, type FleetReport, type ServerRecord, serverName } from '../../model/fleet.ts'
import { FLEET_LEASE, FLEET_LOOKED_AT_EVERY } from '../../model/intervals.ts'
import type { Nodes } from '../nodes.ts'
import { type Demand, together } from './demand.ts'
import { type Fleet, FleetError } from './fleet.ts'
import { nodeView } from './node-view.ts'
import { Observer } from './observer.ts'
import { reportOf } from './report.ts'
import { decide, type Step } from './rules.ts'
import { Servers } from './servers.ts'
import type { Terms, World } from './world.ts'

type Options = {
  readonly name: FleetName
  readonly driver: string
  /** `mayOrder`: whether this front leads the fleet. The driver asks before each order that it sends. */
  readonly open: (mayOrder: () => boolean) => Promise<Fleet>
  readonly prices: string
  readonly terms: Terms
  /** How long apps in use may go on, on a server that is given up. */
  readonly drainMs: number
  /** true: nothing of the plan is done. */
  readonly isDryRun: boolean
  readonly demand: Demand
  readonly nodes: Pick<Nodes, 'all'>
  readonly master: MasterClient
  readonly clock: Clock
  readonly log: Log
}

type Leased = CallAnswer<typeof fleetCalls.leaseFleet>
type Report = NonNullable<CallAnswer<typeof fleetCalls.getFleet>['report']>

/** A look is repeated at once, after orders that were refused, so many times. */
const MOST_AT_ONCE = 5
const LONGEST_PAUSE_MS = 120_000
const LEAST_PAUSE_MS = 1_000
/** After servers that never became nodes, the next one waits: twice as long each time. */
const LONGEST_WAIT_MS = 3_600_000
const FIRST_WAIT_MS = 60_000

/**
 * Grows and shrinks the fleet while this front leads it. Of several fronts the one that has the lease in the store does so; each order is in
 * the store before it is given. So whatever a front does late, or twice, there is no server beyond the ceiling: decision 040.
 */
export class Autoscaler {
  readonly #options: Options
  readonly #holder = randomUUID()
  readonly #observer: Observer
  #fleet: Fleet | undefined
  /** The epoch of the lease that this front has, or had last. */
  #epoch: number | undefined
  /** Until when no other front can have the lease, by `clock.now()`. */
  #leadsUntil = Number.NEGATIVE_INFINITY
  #hurry = new AbortController()
  #fault: string | undefined
  #report: FleetReport | undefined

  constructor(options: Options) {
    this.#options = options
    this.#observer = new Observer(options.clock)
  }

  get #leads(): boolean {
    return this.#options.clock.now() < this.#leadsUntil
  }

  /** Looks at the fleet now, rather than at the next time. */
  hasten(): void {
    this.#hurry.abort()
  }

  /** Runs the fleet until the signal aborts; then another front may lead it at once. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, name } = this.#options
    let failures = 0
    while (!signal.aborted) {
      this.#hurry = new AbortController()
      try {
        await this.look()
        failures = 0
        if (this.#fault !== undefined) log.info('fleet looked at again', { fleet: name })
        this.#fault = undefined
      } catch (cause) {
        failures += 1
        const { code, message, details } = asShadowError(cause)
        const fault = code === 'internal' && cause instanceof Error ? cause.message : message
        // Logged once for each kind: a cloud may be away for long.
        if (fault !== this.#fault)
          log.warn('fleet not looked at', { fleet: name, code, hint: details.hint, fault, cause })
        this.#fault = fault
      }
      const every = Math.min(FLEET_LOOKED_AT_EVERY * 2 ** failures, LONGEST_PAUSE_MS)
      const hurried = failures > 0 ? signal : AbortSignal.any([signal, this.#hurry.signal])
      // The loop's head ends it.
      await pause(clock, LEAST_PAUSE_MS, signal).catch(() => undefined)
      await pause(clock, every - LEAST_PAUSE_MS, hurried).catch(() => undefined)
    }
    await this.#release()
  }

  /** One look at the fleet, with what follows from it. */
  async look(): Promise<void> {
    for (let again = true, times = 0; again && times < MOST_AT_ONCE; times++) again = await this.#look()
  }

  async #look(): Promise<boolean> {
    const { terms, nodes, demand } = this.#options
    const leased = await this.#lease()
    if (leased?.epoch == null) return false
    this.#fleet ??= await this.#options.open(() => this.#leads)
    const [machines, offers] = await Promise.all([this.#fleet.list(), this.#fleet.offers()]).catch(async error => {
      await this.#tell(leased, error)
      throw error
    })
    const now = Date.parse(leased.at)
    const { memory, servers: records } = leased
    const world = this.#observer.look(
      {
        now,
        epoch: leased.epoch,
        records: records as readonly ServerRecord[],
        machines,
        offers,
        nodes: nodes.all.map(node => nodeView(node, now)),
        wanted: together(demand.all, leased.wanted),
        shape: memory.shape,
        buysFrom: buysFrom(memory),
      },
      terms,
    )
    return this.#carryOut(this.#fleet, world, leased)
  }

  /** The lease of the fleet, renewed or taken, if no other front has it. */
  async #lease(): Promise<Leased> {
    const { master, name, demand, clock, log } = this.#options
    const askedAt = clock.now()
    const { lasts: forMs, clockSkew } = FLEET_LEASE
    const leased = await master.call('leaseFleet', {
      params: { fleet: name },
      body: {
        holder: this.#holder,
        forMs,
        wanted: [...demand.all],
        ...(this.#epoch !== undefined && { epoch: this.#epoch }),
      },
    })
    if (leased.epoch === null) {
      this.#leadsUntil = Number.NEGATIVE_INFINITY
      return leased
    }
    if (leased.epoch !== this.#epoch) {
      log.info('this front leads the fleet', { fleet: name, epoch: leased.epoch })
      this.#observer.forget()
    }
    this.#epoch = leased.epoch
    this.#leadsUntil = askedAt + forMs - clockSkew
    return leased
  }

  /** Lets the admin know that the cloud does not answer: all else in the report stays as it was. */
  async #tell({ epoch, at, servers, memory }: Leased, error: unknown): Promise<void> {
    if (!(error instanceof FleetError) || epoch === null) return
    const { master, name, driver, terms, isDryRun, prices } = this.#options
    const before = this.#report ?? { driver, max: terms.max, isDryRun, prices, at, servers: [], plan: [] }
    const report = { ...before, notes: [`not looked at since ${before.at}: ${error.message}`] } as Report
    const body = { holder: this.#holder, epoch, servers, memory, report }
    await master.call('saveFleet', { params: { fleet: name }, body }).catch(() => undefined) // the error itself is what counts
  }

  /** Does what the rules say. Returns whether it is worth another look at once. */
  async #carryOut(fleet: Fleet, world: World, { memory }: Leased): Promise<boolean> {
    const { name, driver, master, terms: _, prices, isDryRun, drainMs, clock, log } = this.#options
    const observer = this.#observer
    const decision = decide(world)
    const servers = new Servers({
      world,
      memory,
      fleet,
      name,
      observer,
      master,
      leader: { holder: this.#holder, epoch: world.epoch },
      leads: () => this.#leads,
      drainMs,
      clock,
      log,
    })
    const report = () => {
      const whyKept = observer.whyKept.bind(observer)
      this.#report = reportOf({ world, decision, fleet, driver, isDryRun, prices, whyKept, faults: servers.faults })
      return this.#report
    }
    if (!isDryRun) servers.record(decision.steps.map(step => this.#named(step)))
    await servers.save(report())
    if (isDryRun) return false
    await servers.act()
    if (servers.isChanged) await servers.save(report())
    return servers.isWorthALook
  }

  /** The step; for a server that is to be bought, with a name that no other order has. */
  #named(step: Step): Step {
    if (step.do !== 'buy') return step
    const unique = randomBytes(8).toString('hex').slice(0, 6)
    return { ...step, node: serverName(this.#options.name, step.number, unique) }
  }

  async #release(): Promise<void> {
    const { master, name, log } = this.#options
    if (this.#epoch === undefined || !this.#leads) return
    this.#leadsUntil = Number.NEGATIVE_INFINITY
    const query = { holder: this.#holder, epoch: this.#epoch }
    await master.call('releaseFleet', { params: { fleet: name }, query }).catch(cause => {
      // It ends by itself.
      if (!isFailure(cause, 'changed')) log.debug('lease of the fleet not given up', { fleet: name, cause })
    })
  }
}

/** From when on the next server may be bought, by the time of the masters. */
const buysFrom = ({ failures, failedAt }: Leased['memory']): number =>
  failures === 0 || failedAt === undefined
    ? 0
    : Date.parse(failedAt) + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1))
