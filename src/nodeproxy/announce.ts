import { availableParallelism, totalmem } from 'node:os'
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import type { Health } from './health.ts'
import type { NodeKeys } from './node-keys.ts'

type Options = {
  readonly master: MasterClient
  readonly node: NodeName
  /** `host:port` where master and fronts reach this node. */
  readonly address: string
  readonly keys: NodeKeys
  readonly health: Health
  readonly awake: () => number
  readonly clock: Clock
  readonly log: Log
}

/** Tells the master every few seconds that this node is there, until the signal aborts. */
export async function announce(options: Options, signal: AbortSignal): Promise<void> {
  const { master, node, address, keys, health, awake, clock, log } = options
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
