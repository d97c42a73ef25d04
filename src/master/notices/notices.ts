import { createHash, randomUUID } from 'node:crypto'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { isWanted, type Notice, type Occurrence } from '../../model/notice.ts'
import type { Storage } from '../storage/storage.ts'
import { Deliveries } from './deliveries.ts'
import type { Queues } from './queues.ts'
import type { Condition, Source } from './source.ts'
import { WatchRight, type WatchState } from './watch-state.ts'
import type { Webhook, Webhooks } from './webhooks.ts'
import { counted, heldBack, isToldNow, opened } from './windows.ts'

/** How often a master looks whether something is to be done. Without a webhook it reads nothing. */
const TICK_EVERY_MS = 1_000
/** The journal tells of webhooks that other masters have made. A list of all finds what it did not tell. */
const READ_ALL_EVERY_MS = 600_000
/** How often a master that does not watch looks whether it should. */
const TRIED_EVERY_MS = 5_000

type Parts = {
  readonly storage: Storage
  readonly webhooks: Webhooks
  readonly queues: Queues
  readonly sources: readonly Source[]
  readonly clock: Clock
  readonly log: Log
}

/** Watches for what goes wrong while there is a webhook, and sends notices of it. One of the masters does this at a time. */
export class Notices {
  readonly #parts: Parts
  readonly #right: WatchRight
  readonly #deliveries: Deliveries
  readonly #lookedAt = new Map<string, number>()
  #webhooks: readonly Webhook[] = []
  #readAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #isWell = true

  constructor(parts: Parts) {
    this.#parts = parts
    this.#right = new WatchRight({ ...parts, me: randomUUID() })
    this.#deliveries = new Deliveries(parts)
  }

  /** Webhooks were added or removed, here or elsewhere, or nobody knows whether. */
  changed(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
  }

  /** Watches and sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    while (!signal.aborted) {
      await this.tick(signal)
      await pause(clock, TICK_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop at its head
    }
    await this.#deliveries.settled()
    await this.#right.release().catch(cause => log.debug('the right to watch was not given back', { cause }))
  }

  /** Does what is to be done now; what is sent goes on behind it. */
  async tick(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts
    try {
      await this.#tick(signal)
      if (!this.#isWell) log.info('notices are sent again')
      this.#isWell = true
    } catch (cause) {
      // Logged once: the store may be away for a long time.
      if (this.#isWell) log.warn('notices are not sent', { code: asShadowError(cause).code, cause })
      this.#isWell = false
    }
  }

  /** Resolves when nothing is being sent. */
  settled(): Promise<void> {
    return this.#deliveries.settled()
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    await this.#readWebhooks()
    if (this.#webhooks.length === 0) return
    if (this.#right.state === undefined) {
      if (clock.now() - this.#triedAt < TRIED_EVERY_MS) return
      this.#triedAt = clock.now()
      await this.#right.take()
      this.#deliveries.forget()
    }
    const { state } = this.#right
    if (state === undefined) return
    for (const { key, sum } of heldBack(state.windows, clock.wall())) {
      if (sum !== undefined) await this.#tell(sum)
      delete state.windows[key]
      if (sum !== undefined) opened(state.windows, sum, clock.wall())
    }
    for (const source of this.#parts.sources) await this.#look(source, state, signal)
    await this.#right.save()
    if (this.#right.isSure) await this.#deliveries.start(this.#webhooks, () => this.#right.isSure, signal)
  }

  async #readWebhooks(): Promise<void> {
    const { webhooks, queues, clock } = this.#parts
    const before = this.#readAt
    if (clock.now() - before < READ_ALL_EVERY_MS) return
    this.#readAt = clock.now() // before the read: a change that comes meanwhile is read again
    try {
      this.#webhooks = await webhooks.all()
    } catch (cause) {
      this.#readAt = Number.NEGATIVE_INFINITY
      throw cause
    }
    if (this.#right.state === undefined) return
    await queues.keepOnly(this.#webhooks)
    if (this.#webhooks.length > 0) return
    await this.#right.forget()
    this.#lookedAt.clear()
  }

  async #look(source: Source, state: WatchState, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    if (clock.now() - (this.#lookedAt.get(source.name) ?? Number.NEGATIVE_INFINITY) < source.everyMs) return
    this.#lookedAt.set(source.name, clock.now())
    const seen = await source.look(state.open, signal).catch(cause => {
      log.debug('a source of notices was not read', { source: source.name, cause })
    })
    if (!seen) return
    const { conditions, happened = [], isUnknown = () => false } = seen
    const isFirst = !state.looked.includes(source.name)
    for (const condition of conditions) {
      if (state.open[condition.key] === condition.mark) continue
      const at = condition.at ?? new Date(clock.wall()).toISOString()
      // What is wrong since nobody knows when was so before there was a webhook.
      if (condition.at !== undefined || !isFirst) await this.#occurred(occurrenceOf(condition, at), state)
      state.open[condition.key] = condition.mark
    }
    for (const occurrence of happened) await this.#occurred(occurrence, state)
    const now = new Set(conditions.map(({ key }) => key))
    for (const key of Object.keys(state.open))
      if (key.startsWith(`${source.name} `) && !now.has(key) && !isUnknown(key)) delete state.open[key]
    if (isFirst) state.looked.push(source.name)
  }

  async #occurred(occurrence: Occurrence, { windows }: WatchState): Promise<void> {
    if (!isToldNow(windows, occurrence)) return counted(windows, occurrence)
    await this.#tell(occurrence)
    opened(windows, occurrence, this.#parts.clock.wall())
  }

  async #tell(occurrence: Occurrence): Promise<void> {
    const notice = noticeOf(occurrence)
    for (const webhook of this.#webhooks) if (isWanted(webhook, occurrence)) await this.#deliveries.add(webhook, notice)
  }
}

function occurrenceOf({ key, mark, ...condition }: Condition, at: string): Occurrence {
  return { ...condition, mark: `${key} ${mark}`, at }
}

/** The id is made of what happened: two masters that see the same give it the same id. */
function noticeOf({ mark, apps: _, ...occurrence }: Occurrence): Notice {
  const text = `${occurrence.kind}\n${occurrence.subject}\n${mark}`
  return { id: `msg_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`, ...occurrence }
}
