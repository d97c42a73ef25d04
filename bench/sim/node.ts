import { noLog } from '../../src/lib/log.ts'
import type { Node } from '../../src/model/app.ts'
import { type InstanceId, instanceId } from '../../src/model/instance-id.ts'
import type { AppName, NodeName } from '../../src/model/names.ts'
import { Idle } from '../../src/nodeproxy/idle.ts'
import { Room } from '../../src/nodeproxy/room.ts'
import { taskOf } from './apps.ts'
import type { EventQueue } from './event-queue.ts'

const MEMORY_BYTES = 4 * 2 ** 30
const VOLUME_SLOTS = 28
const { signal } = new AbortController()

type Awake = { readonly idle: Idle; readonly users: { inFlight: number }; isOver: boolean }

/** A node whose containers are made of nothing: its room and the idle clocks of its apps are those of the product. */
export class SimulatedNode {
  readonly name: NodeName
  isDead = false
  wakes = 0
  /** The sum of the times in which at least one app was awake, in milliseconds. */
  usedMs = 0
  #since = 0
  #isChanged = true
  #announced: Node | undefined
  readonly #clock: EventQueue
  readonly #awake = new Map<InstanceId, Awake>()
  readonly #room: Room

  constructor(name: NodeName, clock: EventQueue) {
    this.name = name
    this.#clock = clock
    this.#room = new Room({
      overcommit: 1,
      volumeSlots: VOLUME_SLOTS,
      totalBytes: MEMORY_BYTES,
      availableBytes: async () => MEMORY_BYTES - this.#room.reservedBytes,
      log: noLog,
      idle: () =>
        [...this.#awake].flatMap(([instance, { idle }]) =>
          idle.since === undefined
            ? []
            : { instance, idleSince: idle.since, makeRoom: async () => this.#sleep(instance) },
        ),
    })
  }

  get awake(): number {
    return this.#awake.size
  }

  /** Serves a request that takes `lastsMs`, after a wake if the app sleeps; fails as the room refuses. */
  async serve(app: AppName, lastsMs: number): Promise<void> {
    const instance = instanceId(app)
    let awake = this.#awake.get(instance)
    if (awake === undefined) {
      await this.#room.admit(instance, taskOf(app), signal)
      awake = this.#wake(instance, app)
    }
    const used = awake
    used.users.inFlight++
    this.#clock.after(lastsMs, () => {
      used.users.inFlight--
      if (!used.isOver) used.idle.left({ putsOff: true })
    })
  }

  /** The machine is gone, and with it the containers; its place is taken by an empty machine when it is replaced. */
  die(): void {
    this.isDead = true
    for (const instance of [...this.#awake.keys()]) this.#sleep(instance)
  }

  replace(): void {
    this.isDead = false
  }

  /** What it announces to the masters; the same object as long as nothing has changed. */
  async announcement(): Promise<Node> {
    if (this.#announced !== undefined && !this.#isChanged) return this.#announced
    this.#isChanged = false
    const memoryBytes = MEMORY_BYTES
    this.#announced = {
      name: this.name,
      address: '10.0.0.1:8081',
      key: `key-of-${this.name}-0123456789`,
      cpus: 2,
      memoryBytes,
      cpuUtilization: 0,
      memoryUtilization: this.#room.reservedBytes / memoryBytes,
      awake: this.awake,
      volumeDrivers: ['loop', 'pool'],
      state: 'healthy',
      until: '2126-01-01T00:00:00.000Z',
      ...(await this.#room.facts()),
    }
    return this.#announced
  }

  /** Counts the time in use up to now. */
  count(): void {
    const now = this.#clock.now()
    if (this.awake > 0) this.usedMs += now - this.#since
    this.#since = now
  }

  #wake(instance: InstanceId, app: AppName): Awake {
    this.count()
    const users = { inFlight: 0 }
    const awake: Awake = {
      users,
      isOver: false,
      idle: new Idle({
        clock: this.#clock,
        idleAfter: () => taskOf(app).sleep.idleAfter,
        keptUntil: () => 0,
        inUse: () => users.inFlight > 0,
        onIdle: () => this.#sleep(instance),
      }),
    }
    this.#awake.set(instance, awake)
    this.wakes++
    this.#isChanged = true
    return awake
  }

  #sleep(instance: InstanceId): void {
    const awake = this.#awake.get(instance)
    if (awake === undefined) return
    this.count()
    awake.isOver = true
    awake.idle[Symbol.dispose]()
    this.#awake.delete(instance)
    this.#room.leave(instance)
    this.#isChanged = true
  }
}
