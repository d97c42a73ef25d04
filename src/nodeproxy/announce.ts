import { availableParallelism, totalmem } from 'node:os'
import packageJson from '../../package.json' with { type: 'json' }
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { Labels } from '../model/labels.ts'
import type { NodeName } from '../model/names.ts'
import { imageKey, MOST_IMAGES } from '../model/placement.ts'
import type { Health } from './health.ts'
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
  readonly awake: () => number
  readonly clock: Clock
  readonly log: Log
}

/** Tells the master every few seconds that this node is there, until the signal aborts. */
export async function announce(options: Options, signal: AbortSignal): Promise<void> {
  const { master, node, address, labels, keys, health, facts, awake, clock, log } = options
  let isAnnounced = true
  while (!signal.aborted) {
    try {
      const { cpu_utilization, memory_utilization } = await health.now()
      await master.call('announceNode', {
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
          ...(labels !== undefined && { labels }),
          ...(await facts()),
          version: packageJson.version,
        },
      })
      if (!isAnnounced) log.info('master hears us again', { node })
      isAnnounced = true
    } catch (cause) {
      // Logged once: apps are still served, and the master may be away for long.
      const { code, details } = asShadowError(cause)
      if (isAnnounced) log.warn('master does not hear us', { node, code, hint: details.hint, cause })
      isAnnounced = false
    }
    await pause(clock, NODE_ANNOUNCES_EVERY, signal).catch(() => undefined) // the loop's head ends it
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
