import { z } from 'zod'
import { NoticeSchema } from '../../api/notice-calls.ts'
import type { Notice } from '../../model/notice.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'
import type { Webhook } from './webhooks.ts'

const QueueSchema = z.object({
  /** When the webhook was made: what waits for an earlier webhook of the same name is not its own. */
  of: z.string(),
  /** The oldest first. Times are in ms since the epoch. */
  items: z.array(z.object({ notice: NoticeSchema, tries: z.int(), since: z.number(), nextAt: z.number() })).readonly(),
  dropped: z.int(),
  lastSuccess: z.iso.datetime().nullable(),
  lastFailure: z.object({ at: z.iso.datetime(), why: z.string() }).nullable(),
})
export type Queue = z.output<typeof QueueSchema>
export type QueueItem = Queue['items'][number]
export type Queues = ReturnType<typeof noticeQueues>

const FOLDER = 'notices/queues/'
/** Of a receiver that is away for long, the oldest notices are given up. */
const MOST_WAITING = 200

/** The notices that wait for each webhook, and how the last ones were taken, in `notices/queues/<webhook>.json`. */
export function noticeQueues(storage: Storage) {
  const keyOf = (name: string): string => `${FOLDER}${name}.json`

  const read = async ({ name, createdAt }: Webhook): Promise<{ queue: Queue; etag: string | undefined }> => {
    const stored = await storage.get(keyOf(name))
    const queue = stored && QueueSchema.parse(stored.value)
    const empty = { of: createdAt, items: [], dropped: 0, lastSuccess: null, lastFailure: null }
    return { queue: queue?.of === createdAt ? queue : empty, etag: stored?.etag }
  }

  const change = (webhook: Webhook, next: (queue: Queue) => Queue): Promise<Queue> =>
    retryOnConflict(async () => {
      const { queue, etag } = await read(webhook)
      const changed = next(queue)
      if (changed === queue) return queue
      const key = keyOf(webhook.name)
      await (etag === undefined ? storage.create(key, changed) : storage.update(key, changed, etag))
      return changed
    })

  return {
    read: async (webhook: Webhook): Promise<Queue> => (await read(webhook)).queue,
    change,

    /** Adds the notice, unless it waits already. */
    add: (webhook: Webhook, notice: Notice, now: number): Promise<Queue> =>
      change(webhook, queue => {
        if (queue.items.some(item => item.notice.id === notice.id)) return queue
        const all = [...queue.items, { notice, tries: 0, since: now, nextAt: now }]
        const items = all.slice(-MOST_WAITING)
        return { ...queue, items, dropped: queue.dropped + all.length - items.length }
      }),

    remove: (name: string): Promise<void> => storage.remove(keyOf(name)),

    /** Removes what waits for webhooks that are not there any more. */
    async keepOnly(webhooks: readonly Webhook[]): Promise<void> {
      const keys = new Set(webhooks.map(({ name }) => keyOf(name)))
      for (const key of await storage.list(FOLDER)) if (!keys.has(key)) await storage.remove(key)
    },
  }
}
