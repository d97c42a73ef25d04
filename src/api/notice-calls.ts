import { z } from 'zod'
import { NOTICE_EVENTS, NOTICE_KINDS, type Notice } from '../model/notice.ts'
import { admin, type Call } from './call-shape.ts'
import { described, NodeNameSchema } from './schemas.ts'
import { AppPatternSchema } from './token-calls.ts'

const params = z.strictObject({ webhook: NodeNameSchema })

const UrlSchema = z
  .url({ protocol: /^https?$/, error: 'must be a URL that begins with http:// or https://' })
  .max(2_000)
  .refine(text => {
    const url = URL.parse(text)
    return url !== null && url.username === '' && url.password === ''
  }, 'must have no user and no password: receivers check the signature')

export const noticeFields = {
  id: z.string().describe('the same in each repetition'),
  at: z.iso.datetime(),
  kind: z.enum(NOTICE_KINDS),
  app: z.string().optional(),
  node: z.string().optional(),
  subject: z.string().describe('a short sentence that is the same each time'),
  detail: z.string(),
  code: z.string().optional().describe('of the problem'),
  times: z.int().optional().describe('how many times it happened, if the notice sums up several'),
}
export const NoticeSchema = described<Notice>(z.object(noticeFields), 'Notice')

const WebhookSchema = z
  .object({
    name: z.string(),
    url: z.string(),
    events: z.array(z.enum(NOTICE_EVENTS)),
    apps: z.array(z.string()).nullable().describe('null: all apps'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Webhook' })

/** The calls about webhooks: URLs to which masters send notices of what goes wrong. */
export const noticeCalls = {
  addWebhook: {
    says: 'send notices to a URL from now on, signed as Standard Webhooks says; the secret is shown only this once',
    body: z.strictObject({
      name: NodeNameSchema,
      url: UrlSchema,
      events: z
        .array(z.enum(NOTICE_EVENTS))
        .min(1)
        .default([...NOTICE_EVENTS]),
      apps: z
        .array(AppPatternSchema)
        .min(1)
        .max(100)
        .optional()
        .describe('only notices about these apps, and about nodes; left out: about all apps'),
    }),
    answer: WebhookSchema.extend({ secret: z.string().describe('whsec_ and 32 bytes in base64') }),
    status: 201,
    may: admin,
  },
  listWebhooks: {
    says: 'list webhooks, and how their notices were taken',
    answer: z.object({
      items: z.array(
        WebhookSchema.extend({
          waiting: z.int().describe('how many notices wait for their next try'),
          dropped: z.int().describe('how many notices were given up'),
          lastSuccess: z.iso.datetime().nullable(),
          lastFailure: z.object({ at: z.iso.datetime(), why: z.string() }).nullable(),
        }),
      ),
    }),
    may: admin,
  },
  removeWebhook: {
    says: 'send no notices to a URL any more; those that wait are dropped',
    params,
    answer: 'nothing',
    may: admin,
  },
  testWebhook: {
    says: 'send a test notice now, once, and answer what the URL answered',
    params,
    answer: z.object({
      taken: z.boolean().describe('the answer had a status from 200 to 299'),
      status: z.int().nullable().describe('null: there was no answer'),
      says: z.string().describe('the beginning of the answer, or why there was none'),
      ms: z.number(),
    }),
    may: admin,
  },
} satisfies Record<string, Call>
