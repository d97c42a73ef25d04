import { z } from 'zod'
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { openMetadata } from '../lib/ec2/metadata.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { NodeName } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import type { NodeCordon } from './node-cordon.ts'

type Options = {
  readonly node: NodeName
  readonly master: MasterClient
  readonly cordon: Pick<NodeCordon, 'take'>
  readonly clock: Clock
  readonly log: Log
  /** URL of the metadata service; left out: that of EC2. */
  readonly metadata?: string
}

const NoticeSchema = z.object({ action: z.string(), time: z.iso.datetime({ offset: true }) })

const ASKED_EVERY_MS = 5_000
const TOLD_AGAIN_AFTER_MS = 2_000
/** Apps have stopped and volumes are unmounted so long before EC2 takes the machine. */
const MARGIN_MS = 30_000
const LEAST_MS = 5_000

/**
 * Waits for the notice with which EC2 takes a spot machine back two minutes later, and drains this node then. Resolves once the masters know of
 * the drain, or when the signal aborts.
 */
export async function drainOnSpotNotice(options: Options, signal: AbortSignal): Promise<void> {
  const { node, clock, log } = options
  const notice = await untilNotice(options, signal)
  if (notice === undefined) return
  const withinMs = Math.max(LEAST_MS, Date.parse(notice.time) - clock.wall() - MARGIN_MS)
  log.warn('EC2 takes this machine back; the node drains', { node, action: notice.action, at: notice.time, withinMs })
  await drain(options, withinMs, signal)
}

async function untilNotice({ metadata, clock, log }: Options, signal: AbortSignal) {
  let isSilent = false
  while (!signal.aborted) {
    try {
      const read = await openMetadata(metadata)
      const text = await read('spot/instance-action')
      if (text !== undefined) return NoticeSchema.parse(JSON.parse(text))
      isSilent = false
    } catch (cause) {
      if (!isSilent) log.warn('spot notices cannot be read', { cause })
      isSilent = true
    }
    await pause(clock, ASKED_EVERY_MS, signal).catch(() => undefined) // the loop's head ends it
  }
  return undefined
}

/** Drains the node by the masters, so that fronts go elsewhere at once; without one, the node refuses wakes by itself meanwhile. */
async function drain(
  { node, master, cordon, clock, log }: Options,
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const endsAt = clock.now() + withinMs
  const since = timestamp(clock)
  const until = new Date(clock.wall() + withinMs).toISOString()
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const left = Math.max(LEAST_MS, endsAt - clock.now())
    try {
      await master.call('drainNode', { params: { node }, body: { deadline: duration(`${left}ms`), volumes: 'stop' } })
      return
    } catch (cause) {
      const { code, message } = asShadowError(cause)
      if (isFirst) log.warn('master does not know that this node drains', { node, code, why: message })
      cordon.take({ cordon: { since, drain: { until, volumes: 'stop' } }, drainWithinMs: left })
    }
    await pause(clock, TOLD_AGAIN_AFTER_MS, signal).catch(() => undefined) // the loop's head ends it
  }
}
