import { availableParallelism, totalmem } from 'node:os'
import packageJson from '../../package.json' with { type: 'json' }
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import { bootNow } from '../lib/boot-id.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { DRAINING_ANNOUNCES_EVERY, NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { Labels } from '../model/labels.ts'
import type { NodeName } from '../model/names.ts'
import { imageKey, MOST_IMAGES } from '../model/placement.ts'
import type { VolumeDriver } from '../model/task.ts'
import type { Health } from './health.ts'
import type { NodeCordon } from './node-cordon.ts'
import type { NodeKeys } from './node-keys.ts'
import type { Room } from './room.ts'
import type { Runtime } from './runtime/runtime.ts'

type Options = {
  readonly master: MasterClient
  readonly node: NodeName
  /** `host:port` where master and fronts reach this node. */
  readonly address: string
  readonly labels: Labels | undefined
  readonly keys: NodeKeys
  readonly health: Health
  /** What placement goes by. */
  readonly facts: () => Promise<NodeFacts>
  readonly cordon: Pick<NodeCordon, 'take' | 'toLeave'>
  /** Called with the ids of former members of the cluster after each announcement. */
  readonly onRevoked: (ids: readonly string[]) => void
  readonly awake: () => number
  readonly volumeDrivers: readonly VolumeDriver[]
  readonly clock: Clock
  readonly log: Log
}

/** Tells the master every few seconds that this node is there. */
export class Announcer {
  readonly #options: Options
  #asked: PromiseWithResolvers<void>[] = []
  #pause = new AbortController()
  #isHeard = true
  #isClockRight = true
  readonly #boot = bootNow()
  /** `toLeave` of the last announcement that a master has heard. */
  #announced: number | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Announces the node now. Resolves when a master has answered to an announcement that began after this call, or did not answer it. */
  now(): Promise<void> {
    const asked = Promise.withResolvers<void>()
    this.#asked.push(asked)
    this.#pause.abort()
    return asked.promise
  }

  /** Announces the node again and again, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, cordon } = this.#options
    while (!signal.aborted) {
      const asked = this.#asked
      this.#asked = []
      this.#pause = new AbortController()
      await this.#announce()
      for (const one of asked) one.resolve()
      // Whoever drains this node waits to hear that its last app has left.
      const left = cordon.toLeave
      const isKnown = left === undefined || (left === 0 && this.#announced === 0)
      const every = isKnown ? NODE_ANNOUNCES_EVERY : DRAINING_ANNOUNCES_EVERY
      await pause(clock, every, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined) // the loop's head ends it
    }
    for (const one of this.#asked) one.resolve()
  }

  async #announce(): Promise<void> {
    const { master, node, address, labels, keys, health, facts, cordon, awake, volumeDrivers, clock, log } =
      this.#options
    try {
      const { overall, cpu_utilization, memory_utilization } = await health.now()
      const { toLeave } = cordon
      const told = await master.call('announceNode', {
        params: { node },
        body: {
          address,
          key: keys.traffic,
          controlKey: keys.control,
          cpus: availableParallelism(),
          memoryBytes: totalmem(),
          cpuUtilization: cpu_utilization,
          memoryUtilization: memory_utilization,
          awake: awake(),
          volumeDrivers: [...volumeDrivers],
          ...(labels !== undefined && { labels }),
          ...(await facts()),
          version: packageJson.version,
          boot: this.#boot,
          at: timestamp(clock),
          trouble: overall,
          ...(toLeave !== undefined && { toLeave }),
        },
      })
      this.#announced = toLeave
      cordon.take(told)
      this.#options.onRevoked(told.revoked ?? [])
      this.#tellOfClock(told.clockAheadMs)
      if (!this.#isHeard) log.info('master hears us again', { node })
      this.#isHeard = true
    } catch (cause) {
      // Logged once: apps are still served, and the master may be away for long.
      const { code, message: detail, details } = asShadowError(cause)
      if (this.#isHeard) log.warn('master does not hear us', { node, code, detail, hint: details.hint, cause })
      this.#isHeard = false
    }
  }

  /** Logged once. The node serves on: leases and pauses are measured by a clock that nobody sets. */
  #tellOfClock(clockAheadMs: number | undefined): void {
    const { node, clock, log } = this.#options
    const isRight = clockAheadMs === undefined
    if (isRight === this.#isClockRight) return
    this.#isClockRight = isRight
    if (isRight) log.info('clock agrees with that of the master again', { node })
    else
      log.warn('clock differs from that of the master', {
        node,
        here: timestamp(clock),
        aheadMs: clockAheadMs,
        hint: 'times in logs are wrong, and certificates may be refused; set both by NTP: timedatectl set-ntp true',
      })
  }
}

type NodeFacts = Awaited<ReturnType<Room['facts']>> & { readonly images: string[] }

const IMAGES_LISTED_EVERY_MS = 30_000

/** Gathers what placement goes by. The images are listed now and then only: a machine may have many. */
export function nodeFacts({ room, runtime, clock }: { room: Room; runtime: Runtime; clock: Clock }) {
  let images: string[] = []
  let listedAt = Number.NEGATIVE_INFINITY
  return async (): Promise<NodeFacts> => {
    if (clock.now() - listedAt >= IMAGES_LISTED_EVERY_MS) {
      const found = await runtime.images().catch(() => undefined) // the last known ones serve while Docker does not answer
      if (found !== undefined) {
        images = found.slice(0, MOST_IMAGES).map(imageKey)
        listedAt = clock.now()
      }
    }
    return { ...(await room.facts()), images }
  }
}
