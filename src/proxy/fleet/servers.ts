import type { CallAnswer } from '../../api/call-shape.ts'
import type { MasterClient } from '../../api/client.ts'
import type { fleetCalls } from '../../api/fleet-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type FleetName, type FleetReport, numberOf, type ServerPhase, type ServerRecord } from '../../model/fleet.ts'
import type { NodeName } from '../../model/names.ts'
import { duration } from '../../model/quantities.ts'
import { type Fleet, FleetError, type Server } from './fleet.ts'
import type { Observer } from './observer.ts'
import type { Step } from './rules.ts'
import type { World } from './world.ts'

type Memory = CallAnswer<typeof fleetCalls.leaseFleet>['memory']

type Options = {
  readonly world: World
  readonly memory: Memory
  readonly fleet: Fleet
  readonly name: FleetName
  readonly observer: Observer
  readonly master: MasterClient
  readonly leader: { readonly holder: string; readonly epoch: number }
  /** Whether this front still leads. */
  readonly leads: () => boolean
  readonly drainMs: number
  readonly clock: Clock
  readonly log: Log
}

/** What a step makes of a server, before it is carried out. */
const PHASE_OF: Readonly<Record<Exclude<Step['do'], 'forget'>, ServerPhase>> = {
  buy: 'ordered',
  start: 'starting',
  undrain: 'serving',
  drain: 'draining',
  stop: 'stopping',
  end: 'ending',
}

/**
 * The servers of a fleet during one look: first their records are changed and saved, then the steps are carried out. A step that is cut short
 * is carried out by the next look, or by the next front: each of them may be repeated.
 */
export class Servers {
  readonly #options: Options
  readonly #records: Map<number, ServerRecord>
  readonly #machines: ReadonlyMap<NodeName, Server>
  #memory: Memory
  #steps: readonly Step[] = []
  /** What went wrong, for the report. */
  readonly faults: string[] = []
  /** Whether something has changed since the last save. */
  isChanged = false
  /** Whether the next look may do what this one could not. */
  isWorthALook = false

  constructor(options: Options) {
    this.#options = options
    const { world, memory } = options
    this.#records = new Map(world.servers.map(({ record }) => [record.number, record]))
    this.#machines = new Map(world.servers.flatMap(({ machine }) => (machine ? [[machine.node, machine]] : [])))
    this.#memory = learned(memory, world)
  }

  /** Records what the steps make of their servers. */
  record(steps: readonly Step[]): void {
    this.#steps = steps
    for (const step of steps) {
      if (step.do === 'forget') continue
      const { number, offer = '', node } = step
      if (step.do === 'buy' && node !== undefined)
        this.#records.set(number, { number, node, offer, ...this.#phase('ordered'), epoch: this.#options.world.epoch })
      // One that has started serves once its node says so.
      else if (step.do !== 'undrain' || this.#records.get(number)?.phase === 'draining')
        this.#to(number, PHASE_OF[step.do])
    }
  }

  async save(report: FleetReport): Promise<void> {
    const { master, name, leader } = this.#options
    const servers = [...this.#records.values()].toSorted((a, b) => a.number - b.number)
    await master.call('saveFleet', {
      params: { fleet: name },
      body: {
        ...leader,
        servers,
        memory: this.#memory,
        report: report as CallAnswer<typeof fleetCalls.getFleet>['report'] & object,
      },
    })
    this.isChanged = false
  }

  /** Carries the steps out, and gives all orders again that have no answer yet. */
  async act(): Promise<void> {
    const { log } = this.#options
    for (const { do: what, number, node, offer, why } of this.#steps)
      log.info('fleet changes', { do: what, number, node: node ?? this.#records.get(number)?.node, offer, why })
    for (const step of this.#steps) await this.#carryOut(step)
    for (const record of [...this.#records.values()])
      if (record.phase === 'ordered' && record.refused === undefined && !this.#machines.has(record.node))
        await this.#guarded(record.number, () => this.#start(record))
  }

  #carryOut(step: Step): Promise<void> {
    const { number } = step
    const record = this.#records.get(number)
    if (record === undefined) return Promise.resolve()
    const machine = this.#machines.get(record.node)
    return this.#guarded(number, async () => {
      const { fleet } = this.#options
      switch (step.do) {
        case 'buy':
          return // it is among the orders without an answer
        case 'start':
          return this.#start(record)
        case 'undrain':
          await this.#call('undrainServer', record)
          return
        case 'drain':
          return this.#drain(record)
        case 'stop':
          return machine && fleet.stop(machine)
        case 'end':
          return this.#end(record, machine)
        case 'forget':
          return this.#forget(record)
      }
    })
  }

  /** Carries a part of a step out while this front leads; what the cloud refuses is noted, and tried again at the next look. */
  async #guarded(number: number, work: () => Promise<void> | undefined): Promise<void> {
    const { leads, log } = this.#options
    if (!leads()) throw new ShadowError('changed', 'the lease of the fleet has ended meanwhile')
    try {
      await work()
    } catch (error) {
      if (!(error instanceof FleetError)) throw error
      this.faults.push(error.message)
      log.warn('fleet cannot change', { number, failure: error.failure, cause: error })
      this.isChanged = true
    }
  }

  async #start(record: ServerRecord): Promise<void> {
    const { fleet, observer, world } = this.#options
    const { number, node, offer } = record
    const joinToken = async () => (await this.#createToken(record)).token
    try {
      await fleet.start({ number, node, offer, joinToken })
      if (record.phase === 'ordered') this.#to(number, 'starting')
    } catch (error) {
      if (!(error instanceof FleetError) || error.failure === 'unsure' || record.phase !== 'ordered') throw error
      if (error.failure === 'full') observer.isFull(offer)
      else this.#failed()
      // Only who has given an order alone knows that it makes no server any more.
      if (record.epoch === world.epoch) await this.#forget(record)
      else this.#records.set(number, { ...record, ...this.#phase('ordered'), refused: error.message.slice(0, 500) })
      this.isWorthALook = error.failure === 'full'
      throw error
    }
  }

  /** A token for the machine to join by. One that has joined already needs none, and is listed soon. */
  async #createToken({ node }: ServerRecord): Promise<{ token: string }> {
    const { master, name, leader } = this.#options
    try {
      return await master.call('createServerToken', { params: { fleet: name, node }, body: leader })
    } catch (error) {
      if (isFailure(error, 'already-exists')) throw new FleetError('unsure', error.message, error)
      throw error
    }
  }

  async #drain(record: ServerRecord): Promise<void> {
    const { master, name, leader, drainMs } = this.#options
    const { number, node } = record
    const deadline = duration(`${drainMs}ms`)
    try {
      await master.call('drainServer', { params: { fleet: name, node }, body: { ...leader, deadline } })
    } catch (error) {
      if (!isFailure(error, 'volumes-stay', 'not-found')) throw error
      this.#keep(number, node, error)
    }
  }

  /** The node is removed before its machine ends: from then on it can take nothing up. */
  async #end(record: ServerRecord, machine: Server | undefined): Promise<void> {
    const { number, node, phase } = record
    const before = this.#options.world.servers.find(view => view.record.node === node)?.record.phase
    try {
      await this.#call('removeServer', record)
    } catch (error) {
      if (!isFailure(error, 'node-in-use')) throw error
      return this.#keep(number, node, error)
    }
    if (before === 'starting' && phase === 'ending') this.#failed()
    if (machine !== undefined) await this.#options.fleet.terminate(machine)
  }

  /**
   * Its machine has ended, was never made, or is not listed any more. Only where the cloud says that it has ended may others have its volumes
   * at once: a machine that is not listed may be alive, and write.
   */
  async #forget(record: ServerRecord): Promise<void> {
    const { master, name, leader, observer, log } = this.#options
    const { number, node } = record
    const hasEnded = this.#machines.get(node)?.state === 'ended'
    // A machine of the operator that is not in the settings any more stays what it is.
    if (numberOf(name, node) !== undefined)
      try {
        const query = { ...leader, ended: hasEnded ? 'true' : 'false' } as const
        const { lost } = await master.call('removeServer', { params: { fleet: name, node }, query })
        if (lost.length > 0) log.error('volumes were lost with a server', { node, volumes: lost })
      } catch (error) {
        if (!isFailure(error, 'node-in-use')) throw error
        return observer.isKept(node, `its machine is not listed any more, but ${error.message}`)
      }
    this.#records.delete(number)
    this.isChanged = true
  }

  /** Volumes are on its disk: it serves on, or stays stopped. */
  #keep(number: number, node: NodeName, error: ShadowError): void {
    this.#options.observer.isKept(node, error.message)
    const isStopped = this.#machines.get(node)?.state === 'stopped'
    this.#to(number, isStopped ? 'standby' : 'serving')
  }

  #call(call: 'undrainServer' | 'removeServer', { node }: ServerRecord): Promise<unknown> {
    const { master, name, leader } = this.#options
    return master.call(call, { params: { fleet: name, node }, query: { ...leader } })
  }

  #to(number: number, phase: ServerPhase): void {
    const record = this.#records.get(number)
    if (record === undefined || record.phase === phase) return
    this.#records.set(number, { ...record, ...this.#phase(phase) })
    this.isChanged = true
  }

  #phase(phase: ServerPhase): Pick<ServerRecord, 'phase' | 'since'> {
    return { phase, since: new Date(this.#options.world.now).toISOString() }
  }

  /** A server did not become a node, or its order was refused for good: the next one waits. */
  #failed(): void {
    const failedAt = new Date(this.#options.world.now).toISOString()
    this.#memory = { ...this.#memory, failures: this.#memory.failures + 1, failedAt }
    this.isChanged = true
  }
}

/** What is learned of servers that serve: how large they are, and that new ones become nodes. */
function learned(memory: Memory, { servers, now }: World): Memory {
  const serving = servers.flatMap(({ record, node }) =>
    record.phase === 'serving' && node?.isUsable ? [{ since: Date.parse(record.since), node }] : [],
  )
  const newest = serving.toSorted((a, b) => b.since - a.since)[0]
  if (newest === undefined) return memory
  const { node, since } = newest
  const hasJoined = since === now
  const bytes = node.awake === 0 ? node.freeBytes : (memory.shape?.bytes ?? node.bytes)
  const volumeSlots = node.awake === 0 ? node.freeSlots : memory.shape?.volumeSlots
  return {
    ...memory,
    shape: {
      bytes,
      drivers: [...node.drivers],
      ...(volumeSlots !== undefined && Number.isFinite(volumeSlots) && { volumeSlots }),
    },
    ...(hasJoined && { failures: 0 }),
  }
}
