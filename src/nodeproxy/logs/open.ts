import { mkdirSync } from 'node:fs'
import { pause } from '../../lib/abort.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import type { Container, Runtime } from '../runtime/runtime.ts'
import { AppLog, keyOf } from './app-log.ts'
import { CALM, ENDED_IN_FLOOD, FLOODS, Flood } from './flood.ts'
import type { Logs } from './logs.ts'

type Options = {
  readonly folder: string
  readonly runtime: Pick<Runtime, 'output' | 'limitCpus'>
  readonly clock: Clock
  readonly log: Log
  /** How much is kept of each instance. */
  readonly maxBytes?: number
}

const RETRY_AFTER_MS = 1_000
const FLOODING_CPUS = 0.05
const CALM_AFTER_MS = 5_000

/** Logs as bounded NDJSON files in the folder, fed from the runtime's own logs. */
export function openLogs({ folder, runtime, clock, log, maxBytes = 10 * 2 ** 20 }: Options): Logs {
  const logs = new Map<InstanceId, AppLog>()
  const lastPumped = new Map<InstanceId, string>()
  /** By their containers: an instance may have several. */
  const pumps = new Map<string, Promise<void>>()
  const ending = new AbortController()

  const logOf = (instance: InstanceId): AppLog => {
    const known = logs.get(instance)
    if (known !== undefined) return known
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const made = new AppLog({ instance, folder, maxBytes, clock, log })
    logs.set(instance, made)
    return made
  }

  /** Reads the container's output to its end, again from where it broke off while the runtime was away. */
  async function pumpUntilEnd(container: Container): Promise<void> {
    const { instance, id } = container
    // A container that is new to a log that this process has fed all along cannot have written a line that is kept.
    let isNew = lastPumped.has(instance) && lastPumped.get(instance) !== id
    lastPumped.set(instance, id)
    const flood = new Flood()
    for (;;) {
      try {
        await copy(container, logOf(instance), flood, !isNew)
        return
      } catch (error) {
        if (ending.signal.aborted) return
        if (!isFailure(error, 'runtime-unreachable')) throw error
      }
      isNew = false
      await pause(clock, RETRY_AFTER_MS, ending.signal)
    }
  }

  async function copy(container: Container, target: AppLog, flood: Flood, mayBeKnown: boolean): Promise<void> {
    const known = mayBeKnown ? await target.known() : undefined
    for await (const line of runtime.output(container, known?.since, ending.signal)) {
      if (line.stream !== 'shadow' && flood.saw(line))
        untilCalm(container, flood).catch(cause => {
          if (!ending.signal.aborted)
            log.warn('app that floods its log not slowed', { ...logFields(container.instance), cause })
        })
      const key = known && known.lines.size > 0 ? keyOf(line) : ''
      const kept = known?.lines.get(key) ?? 0
      if (kept > 0) {
        if (kept > 1) known?.lines.set(key, kept - 1)
        else known?.lines.delete(key)
        continue
      }
      target.append({ ...line, release: container.revision })
      await target.ready()
      const pauseMs = flood.takePauseMs()
      if (pauseMs > 0) await pause(clock, pauseMs, ending.signal)
    }
    if (flood.isOn) target.append({ at: timestamp(clock), stream: 'shadow', line: ENDED_IN_FLOOD })
  }

  /** Slows an app that floods its log, for as long as it does. */
  async function untilCalm(container: Container, flood: Flood): Promise<void> {
    const { instance, id } = container
    const note = (line: string): void => logOf(instance).append({ at: timestamp(clock), stream: 'shadow', line })
    log.warn('app floods its log', logFields(instance))
    note(FLOODS)
    await runtime.limitCpus(container, FLOODING_CPUS)
    do await pause(clock, CALM_AFTER_MS, ending.signal)
    while (!flood.isOver(CALM_AFTER_MS))
    if (!pumps.has(id)) return // it has ended
    await runtime.limitCpus(container, undefined)
    note(CALM)
  }

  return {
    pump(container) {
      const { instance, id } = container
      if (pumps.has(id)) return
      const done = pumpUntilEnd(container)
        .catch(cause => {
          if (!ending.signal.aborted) log.warn('app log lost sight of its container', { ...logFields(instance), cause })
        })
        .finally(() => {
          pumps.delete(id)
        })
      pumps.set(id, done)
    },

    note: (instance, line) => logOf(instance).append({ at: timestamp(clock), stream: 'shadow', line }),

    read: (instance, options, signal) => logOf(instance).read(options, signal),

    async remove(instance) {
      await logOf(instance).remove()
      logs.delete(instance)
      lastPumped.delete(instance)
    },

    async [Symbol.asyncDispose]() {
      ending.abort()
      await Promise.all(pumps.values())
      await Promise.all([...logs.values()].map(each => each.flushed()))
    },
  }
}
