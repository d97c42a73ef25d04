import type { Clock } from '../lib/clock.ts'
import { Ec2Error, type Ec2Failure, type InstanceState } from '../lib/ec2/failures.ts'
import type { Machine, MachineApi, NewMachine } from '../proxy/fleet/ec2-api.ts'

type Instance = Omit<Machine, 'state' | 'tags'> & {
  state: InstanceState
  readonly tags: Record<string, string>
  readonly token: string | undefined
  readonly userData: string
}
type Call = keyof MachineApi
type Tags = Readonly<Record<string, string>>

type Options = {
  readonly clock: Clock
  /** The zone of each subnet. */
  readonly subnets: Readonly<Record<string, string>>
  /** How long each transition takes. */
  readonly transitionMs?: number
  /** How far lists lag behind. */
  readonly lagMs?: number
}

/**
 * EC2's instances in memory, as strict as the real ones: pending, running, stopping, stopped, shutting-down and terminated, each change in
 * seconds; tokens; subnets without capacity; lists that lag behind; and faults that a test plants.
 */
export class ServerCloud implements MachineApi {
  readonly #instances = new Map<string, Instance>()
  readonly #tokens = new Map<string, { readonly asked: string; readonly id: string | undefined }>()
  readonly #history: { readonly at: number; readonly machines: readonly Machine[] }[] = []
  readonly #faults: { call: Call; failure: Ec2Failure; isCarriedOut: boolean }[] = []
  readonly #options: Options
  /** The calls so far, except lists, such as `stop i-1`. */
  readonly calls: string[] = []
  /** What no driver may do. */
  readonly wrongs: string[] = []
  /** `type@subnet` that have no capacity. */
  readonly full = new Set<string>()
  /** The most machines that were there at a time, of our own: not terminated. */
  most = 0
  /** Called before each call is carried out. */
  before: (call: Call) => Promise<void> | void = () => undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** A machine that somebody else made. */
  addForeign(tags: Tags, state: InstanceState = 'running'): string {
    const id = this.#nextId()
    const [subnet = '', zone = ''] = Object.entries(this.#options.subnets)[0] ?? []
    this.#instances.set(id, {
      id,
      state,
      type: 'm7g.large',
      subnet,
      zone,
      isSpot: false,
      tags: { ...tags },
      token: undefined,
      userData: '',
    })
    this.#note()
    return id
  }

  /** All machines as they are, without lag. */
  get all(): readonly Instance[] {
    return [...this.#instances.values()]
  }

  /** Those that cost money for running. */
  get alive(): readonly Instance[] {
    return this.all.filter(({ state, tags }) => state !== 'terminated' && 'shadow:node' in tags)
  }

  /** The next such call fails. `isCarriedOut`: it is carried out, and the answer is lost. */
  failNext(call: Call, failure: Ec2Failure, { isCarriedOut = false } = {}): void {
    this.#faults.push({ call, failure, isCarriedOut })
  }

  /** EC2 takes the machine away, as it does with spot instances. */
  reclaim(id: string): void {
    this.#to(this.#instance(id), 'shutting-down', 'terminated')
  }

  run(machine: NewMachine): Promise<void> {
    const { token, type = 'template', subnet = '', isSpot, userData, tags } = machine
    return this.#call('run', `${tags['shadow:node']} ${type}@${subnet}`, () => {
      const asked = JSON.stringify([type, subnet, isSpot, userData, tags])
      const before = this.#tokens.get(token)
      if (before !== undefined && before.asked !== asked)
        throw new Ec2Error('token-used', 'IdempotentParameterMismatch')
      const there = before?.id === undefined ? undefined : this.#instances.get(before.id)
      if (there?.state === 'terminated') throw new Ec2Error('token-ended', 'IdempotentInstanceTerminated')
      if (there !== undefined) return
      // EC2 remembers the arguments of a call that it has refused for want of capacity.
      this.#tokens.set(token, { asked, id: undefined })
      if (this.full.has(`${type}@${subnet}`))
        throw new Ec2Error('no-capacity', `InsufficientInstanceCapacity: ${type} in ${subnet}`)
      const zone = this.#options.subnets[subnet]
      if (zone === undefined) throw new Ec2Error('refused', `InvalidSubnetID.NotFound: ${subnet}`)
      const id = this.#nextId()
      const instance: Instance = {
        id,
        state: 'pending',
        type,
        subnet,
        zone,
        isSpot,
        tags: { ...tags },
        token,
        userData,
      }
      this.#instances.set(id, instance)
      this.#tokens.set(token, { asked, id })
      this.most = Math.max(this.most, this.alive.length)
      this.#to(instance, 'pending', 'running')
    })
  }

  machines(tags: Tags): Promise<readonly Machine[]> {
    return this.#call('machines', '', () =>
      this.#seen().filter(machine => Object.entries(tags).every(([key, value]) => machine.tags[key] === value)),
    )
  }

  start(id: string): Promise<void> {
    return this.#change('start', id, instance => {
      if (instance.state === 'running' || instance.state === 'pending') return
      if (instance.state !== 'stopped') throw new Ec2Error('wrong-state', `IncorrectInstanceState: ${instance.state}`)
      this.#to(instance, 'pending', 'running')
    })
  }

  stop(id: string): Promise<void> {
    return this.#change('stop', id, instance => {
      if (instance.isSpot) throw new Ec2Error('refused', 'UnsupportedOperation: a one-time spot instance')
      if (instance.state === 'stopped' || instance.state === 'stopping') return
      if (instance.state !== 'running') throw new Ec2Error('wrong-state', `IncorrectInstanceState: ${instance.state}`)
      this.#to(instance, 'stopping', 'stopped')
    })
  }

  terminate(id: string): Promise<void> {
    return this.#change('terminate', id, instance => {
      if (instance.state === 'terminated' || instance.state === 'shutting-down') return
      this.#to(instance, 'shutting-down', 'terminated')
    })
  }

  zones(subnets: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return this.#call('zones', '', () => new Map(subnets.map(subnet => [subnet, this.#options.subnets[subnet] ?? ''])))
  }

  #change(call: 'start' | 'stop' | 'terminate', id: string, change: (instance: Instance) => void): Promise<void> {
    return this.#call(call, id, () => {
      const instance = this.#instance(id)
      if (!('shadow:node' in instance.tags)) this.wrongs.push(`${id} is not ours, and was told to ${call}`)
      change(instance)
    })
  }

  async #call<T>(call: Call, what: string, work: () => T): Promise<T> {
    await this.before(call)
    if (call !== 'machines' && call !== 'zones') this.calls.push(`${call} ${what}`)
    const index = this.#faults.findIndex(fault => fault.call === call)
    const [fault] = index < 0 ? [] : this.#faults.splice(index, 1)
    if (fault !== undefined && !fault.isCarriedOut) throw new Ec2Error(fault.failure, `planted in ${call}`)
    const result = work()
    this.#note()
    if (fault !== undefined) throw new Ec2Error(fault.failure, `planted in ${call}`)
    return result
  }

  #to(instance: Instance, first: InstanceState, then: InstanceState): void {
    instance.state = first
    this.#note()
    this.#options.clock.after(this.#options.transitionMs ?? 5_000, () => {
      if (instance.state !== first) return // it was told something else meanwhile
      instance.state = then
      this.#note()
    })
  }

  /** Keeps how things are now, for lists that lag behind. */
  #note(): void {
    const { clock, lagMs = 0 } = this.#options
    const machines = this.all.map(({ token: _, userData: __, ...machine }) => ({
      ...machine,
      tags: { ...machine.tags },
    }))
    this.#history.push({ at: clock.now(), machines })
    while ((this.#history[1]?.at ?? Number.POSITIVE_INFINITY) <= clock.now() - lagMs) this.#history.shift()
  }

  #seen(): readonly Machine[] {
    const { clock, lagMs = 0 } = this.#options
    return this.#history.findLast(({ at }) => at <= clock.now() - lagMs)?.machines ?? []
  }

  #instance(id: string): Instance {
    const instance = this.#instances.get(id)
    if (instance === undefined) throw new Ec2Error('not-found', `no instance ${id}`)
    return instance
  }

  #nextId(): string {
    return `i-${(this.#instances.size + 1).toString(16).padStart(17, '0')}`
  }
}
