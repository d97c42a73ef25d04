import { z } from 'zod'
import { AppPatternSchema } from '../../api/token-calls.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Seals } from '../../lib/seals.ts'
import { NOTICE_EVENTS, type WebhookFilter } from '../../model/notice.ts'
import type { Storage } from '../storage/storage.ts'
import { newWebhookSecret } from './signature.ts'

const StoredSchema = z.object({
  name: z.string(),
  url: z.string(),
  events: z.array(z.enum(NOTICE_EVENTS)),
  apps: z.array(AppPatternSchema).nullable(),
  createdAt: z.iso.datetime(),
  sealedSecret: z.string(),
})
type Stored = z.output<typeof StoredSchema>

export type Webhook = Omit<Stored, 'sealedSecret'> & WebhookFilter & { readonly secret: string }
export type Webhooks = ReturnType<typeof webhookRecords>

const FOLDER = 'webhooks/'
const MOST = 100
const contextOf = (name: string): string => `the secret of the webhook ${name}`

export const webhookKey = (name: string): string => `${FOLDER}${name}.json`
export const isWebhookKey = (key: string): boolean => key.startsWith(FOLDER)

/** Where notices are sent, one document `webhooks/<name>.json` each. The secret is encrypted. */
export function webhookRecords({ storage, seals, clock }: { storage: Storage; seals: Seals; clock: Clock }) {
  const read = async (key: string): Promise<Webhook | undefined> => {
    const stored = await storage.get(key)
    if (stored === undefined) return undefined
    const { sealedSecret, ...webhook } = StoredSchema.parse(stored.value)
    return { ...webhook, secret: seals.open(sealedSecret, contextOf(webhook.name)) }
  }

  return {
    /** Makes a webhook with a new secret; fails with `already-exists`. */
    async add(given: Pick<Webhook, 'name' | 'url' | 'events' | 'apps'>): Promise<Webhook> {
      const { name } = given
      if ((await storage.list(FOLDER, { limit: MOST })).length >= MOST)
        throw new ShadowError('bad-input', `there are ${MOST} webhooks, and may not be more`)
      const secret = newWebhookSecret()
      const webhook = { ...given, createdAt: timestamp(clock) }
      try {
        await storage.create(webhookKey(name), { ...webhook, sealedSecret: seals.seal(secret, contextOf(name)) })
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
        throw new ShadowError('already-exists', `a webhook is called ${name} already`, {
          hint: `shadow webhook rm ${name}`,
        })
      }
      return { ...webhook, secret }
    },

    /** All webhooks, sorted by name. */
    async all(): Promise<readonly Webhook[]> {
      const found = await mapAtMost(16, await storage.list(FOLDER), read)
      return found.filter(one => one !== undefined)
    },

    /** The webhook; fails with `not-found`. */
    async get(name: string): Promise<Webhook> {
      const found = await read(webhookKey(name))
      if (found === undefined) throw noWebhook(name)
      return found
    },

    /** Whether this webhook is still there: another one may have its name since. */
    async isThere({ name, createdAt }: Webhook): Promise<boolean> {
      return (await read(webhookKey(name)))?.createdAt === createdAt
    },

    /** Fails with `not-found`. */
    async remove(name: string): Promise<void> {
      if ((await storage.get(webhookKey(name))) === undefined) throw noWebhook(name)
      await storage.remove(webhookKey(name))
    },
  }
}

/** The stored webhook with its secret encrypted with the newest key; undefined if that is so already. */
export function resealedWebhook(value: object, seals: Seals): object | undefined {
  const { name, sealedSecret } = StoredSchema.parse(value)
  if (seals.isCurrent(sealedSecret)) return undefined
  return { ...value, sealedSecret: seals.seal(seals.open(sealedSecret, contextOf(name)), contextOf(name)) }
}

const noWebhook = (name: string): ShadowError =>
  new ShadowError('not-found', `no webhook is called ${name}`, { hint: 'shadow webhook ls' })
