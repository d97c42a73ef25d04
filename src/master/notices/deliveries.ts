import { type Clock, timestamp } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Notice } from '../../model/notice.ts'
import { type PostAnswer, postNotice } from './post.ts'
import type { Queue, QueueItem, Queues } from './queues.ts'
import type { Webhook, Webhooks } from './webhooks.ts'

const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 3_600_000
/** A notice that was not taken for so long is given up. */
const TRIED_FOR_MS = 86_400_000
const AT_ONCE = 4
/** Of the notices that are due, so many are sent before the outcome is stored. */
const MOST_AT_A_TIME = 16

type Parts = {
  readonly queues: Queues
  readonly webhooks: Pick<Webhooks, 'isThere'>
  readonly clock: Clock
  readonly log: Log
}

/** How long a notice waits after so many tries that failed: 5 s, doubled each time, an hour at most. */
const pauseAfter = (tries: number): number => Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS)

/** Sends what waits for webhooks, each webhook by itself: one that does not answer keeps no other one waiting. */
export class Deliveries {
  readonly #parts: Parts
  /** What waits, as it was stored last; only the master that watches has it. */
  readonly #queues = new Map<string, Queue>()
  readonly #underWay = new Map<string, Promise<void>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** What is known of queues may be old: another master has sent since. */
  forget(): void {
    this.#queues.clear()
  }

  async add(webhook: Webhook, notice: Notice): Promise<void> {
    const { queues, clock } = this.#parts
    this.#queues.set(keyOf(webhook), await queues.add(webhook, notice, clock.wall()))
  }

  /** Begins to send what is due. `mayGoOn`: whether this master is still the one that sends. */
  async start(webhooks: readonly Webhook[], mayGoOn: () => boolean, signal: AbortSignal): Promise<void> {
    const { queues, clock, log } = this.#parts
    for (const webhook of webhooks) {
      const key = keyOf(webhook)
      if (this.#underWay.has(key)) continue
      const queue = this.#queues.get(key) ?? (await queues.read(webhook))
      this.#queues.set(key, queue)
      const due = queue.items.filter(({ nextAt }) => nextAt <= clock.wall()).slice(0, MOST_AT_A_TIME)
      if (due.length === 0) continue
      const work = this.#send(webhook, due, mayGoOn, signal)
        .catch(cause => {
          this.#queues.delete(key)
          log.warn('notices not sent; the next look sends them', { webhook: webhook.name, cause })
        })
        .finally(() => this.#underWay.delete(key))
      this.#underWay.set(key, work)
    }
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay.values())
  }

  async #send(webhook: Webhook, due: readonly QueueItem[], mayGoOn: () => boolean, signal: AbortSignal): Promise<void> {
    const { queues, webhooks, clock, log } = this.#parts
    if (!(await webhooks.isThere(webhook))) return
    const outcomes = new Map<string, PostAnswer>()
    await mapAtMost(AT_ONCE, due, async ({ notice }) => {
      if (!mayGoOn() || signal.aborted) return
      const answer = await postNotice(webhook, notice, { clock, signal })
      if (!signal.aborted || answer.taken) outcomes.set(notice.id, answer)
      const { id, kind, subject } = notice
      const fields = { webhook: webhook.name, id, kind, subject, status: answer.status }
      if (answer.taken) log.info('notice sent', fields)
      else log.warn('notice not taken', { ...fields, says: answer.says })
    })
    // The webhook may have been removed while the receiver was waited for: its queue must not come back.
    if (outcomes.size === 0 || !(await webhooks.isThere(webhook))) return
    const stored = await queues.change(webhook, queue => afterTries(queue, outcomes, clock))
    this.#queues.set(keyOf(webhook), stored)
  }
}

const keyOf = ({ name, createdAt }: Webhook): string => `${name} ${createdAt}`

/** The queue without what was taken or is given up, and with the next times of what was not taken. */
function afterTries(queue: Queue, outcomes: ReadonlyMap<string, PostAnswer>, clock: Clock): Queue {
  const now = clock.wall()
  const at = timestamp(clock)
  let { dropped } = queue
  const items = queue.items.flatMap(item => {
    const outcome = outcomes.get(item.notice.id)
    if (outcome === undefined) return item
    if (outcome.taken) return []
    const tries = item.tries + 1
    if (now - item.since < TRIED_FOR_MS) return { ...item, tries, nextAt: now + pauseAfter(tries) }
    dropped++
    return []
  })
  const all = [...outcomes.values()]
  const failed = all.find(({ taken }) => !taken)
  return {
    ...queue,
    items,
    dropped,
    ...(all.some(({ taken }) => taken) && { lastSuccess: at }),
    ...(failed && { lastFailure: { at, why: sayAnswer(failed) } }),
  }
}

const sayAnswer = ({ status, says }: PostAnswer): string =>
  (status === undefined ? says : `status ${status}${says === '' ? '' : `: ${says}`}`).slice(0, 300)
