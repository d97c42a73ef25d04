import { randomUUID } from 'node:crypto'
import type { noticeCalls } from '../../api/notice-calls.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Handlers } from '../call.ts'
import { postNotice } from './post.ts'
import type { Queues } from './queues.ts'
import { type Webhook, type Webhooks, webhookKey } from './webhooks.ts'

export type NoticeParts = {
  readonly webhooks: Webhooks
  readonly queues: Queues
  /** Tells all masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly clock: Clock
}

/** The handlers of the calls about webhooks. */
export function noticeHandlers({
  webhooks,
  queues,
  announce,
  clock,
}: NoticeParts): Pick<Handlers, keyof typeof noticeCalls> {
  const shown = ({ name, url, events, apps, createdAt }: Webhook) => ({
    name,
    url,
    events,
    apps: apps && [...apps],
    createdAt,
  })
  return {
    async addWebhook({ body: { name, url, events, apps } }) {
      const webhook = await webhooks.add({ name, url, events, apps: apps ?? null })
      announce(webhookKey(name))
      return { value: { ...shown(webhook), secret: webhook.secret } }
    },
    async listWebhooks() {
      const items = await mapAtMost(16, await webhooks.all(), async webhook => {
        const { items: waiting, dropped, lastSuccess, lastFailure } = await queues.read(webhook)
        return { ...shown(webhook), waiting: waiting.length, dropped, lastSuccess, lastFailure }
      })
      return { value: { items } }
    },
    async removeWebhook({ params }) {
      await webhooks.remove(params.webhook)
      await queues.remove(params.webhook)
      announce(webhookKey(params.webhook))
    },
    async testWebhook({ params }, { signal }) {
      const webhook = await webhooks.get(params.webhook)
      const began = clock.now()
      const notice = {
        id: `msg_${randomUUID().replaceAll('-', '')}`,
        at: timestamp(clock),
        kind: 'test' as const,
        subject: 'a test notice',
        detail: `sent by shadow webhook test ${webhook.name}; nothing has happened`,
      }
      const { taken, status = null, says } = await postNotice(webhook, notice, { clock, signal })
      return { value: { taken, status, says, ms: clock.now() - began } }
    },
  }
}
