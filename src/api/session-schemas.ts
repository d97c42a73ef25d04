import { z } from 'zod'
import { appName, nodeName } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import {
  MOST_SESSION_TOKENS,
  SESSION_END_KINDS,
  SESSION_END_REASONS,
  SESSION_STATES,
  type Session,
  TEMPLATE_DEFAULTS,
  type Template,
  VISITORS,
  WHEN_IDLE,
} from '../model/session.ts'
import { parsed } from './parsed.ts'

const Name = parsed('TemplateName', 'the name of a template', 'editor', appName)
const Span = parsed('Span', 'a length of time with its unit', '1h', duration)

const line = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[\x20-\x7e]*$/, 'takes printable characters of ASCII: it is sent in a header')

const SessionKeySchema = z
  .strictObject({
    name: z.string().min(1).max(200),
    namespace: z.string().max(200).default(''),
    tag: z.string().max(200).optional().describe('a live session with the key and another tag is a conflict'),
  })
  .meta({ id: 'SessionKey' })

const templateFields = {
  lifetime: Span.optional().describe('how long a session lives at most; left out: as long as somebody uses it'),
  whenIdle: z
    .enum(WHEN_IDLE)
    .default(TEMPLATE_DEFAULTS.whenIdle)
    .describe('what becomes of a session that nobody has used for the idle time of the definition'),
  most: z.int().min(1).max(100_000).default(TEMPLATE_DEFAULTS.most).describe('most sessions at a time'),
  visitors: z
    .enum(VISITORS)
    .default(TEMPLATE_DEFAULTS.visitors)
    .describe('token: who has one; all: whoever knows the hostname'),
  authUrl: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .optional()
    .describe('asked before each connect, and for each visit without a token'),
}
export const TemplateSchema = z.strictObject(templateFields).meta({ id: 'Template' })
/** As it is stored in an app's document. */
export const StoredTemplateSchema: z.ZodType<Template> = z.object({
  ...templateFields,
  whenIdle: z.enum(WHEN_IDLE),
  most: z.int(),
  visitors: z.enum(VISITORS),
}) as never

const SessionEndSchema = z
  .object({
    at: z.iso.datetime(),
    reason: z
      .enum(SESSION_END_REASONS)
      .describe('swept: nobody used it; lifetime: its time was over; asked; crashed; lost: its node was'),
    kind: z.enum(SESSION_END_KINDS),
    exitCode: z.int().optional(),
    detail: z.string().optional(),
  })
  .meta({ id: 'SessionEnd' })

/** As it is stored in an app's document. */
export const StoredSessionSchema: z.ZodType<Session> = z.object({
  template: Name,
  key: z.object({ name: z.string(), namespace: z.string(), tag: z.string().optional() }).optional(),
  until: z.iso.datetime().optional(),
  whenIdle: z.enum(WHEN_IDLE),
  idle: Span.optional(),
  visitors: z.enum(VISITORS),
  authUrl: z.string().optional(),
  node: parsed('SessionNode', 'a DNS label', 'node-1', nodeName).optional(),
  tokens: z
    .array(
      z.object({
        hash: z.string(),
        user: z.string().optional(),
        auth: z.string().optional(),
        until: z.iso.datetime().optional(),
      }),
    )
    .max(MOST_SESSION_TOKENS),
  ending: SessionEndSchema.optional(),
}) as never

/** What `connect` is asked for. */
export const ConnectSchema = z
  .strictObject({
    template: Name,
    key: SessionKeySchema.optional().describe('left out: a new session each time'),
    spawn: z
      .strictObject({
        env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/), z.string().max(32_768)).default({}),
        lifetime: Span.optional(),
        idle: Span.optional().describe('how long nobody may use it before it ends or sleeps'),
      })
      .nullable()
      .default({ env: {} })
      .describe('variables and limits of a new session, beside those of the template; null: only a session that lives'),
    user: line(200).optional().describe('told to the app as X-Verified-User with each request by the token'),
    auth: z.record(z.string(), z.unknown()).optional().describe('told to the app as X-Verified-Auth, as JSON'),
    tokenLifetime: Span.optional().describe(`how long the token counts; left out: ${TEMPLATE_DEFAULTS.tokenLifetime}`),
    token: z
      .string()
      .regex(/^[A-Za-z0-9_-]{16,200}$/, 'takes 16 to 200 of A-Z, a-z, 0-9, _ and -')
      .optional()
      .describe('a token of the caller’s own, for apps that need a stable path; it counts as long as the session'),
  })
  .meta({ id: 'Connect' })

const SessionStateSchema = z.enum(SESSION_STATES)

/** A session as it is shown. */
export const SessionViewSchema = z
  .object({
    session: z.string().describe('its name, which is that of its app'),
    template: Name,
    key: SessionKeySchema.nullable(),
    state: SessionStateSchema,
    since: z.iso.datetime().describe('since when it is in this state, or since when it is asked for'),
    until: z.iso.datetime().nullable().describe('when it ends, whoever uses it'),
    url: z.string(),
    users: z.array(z.string()).describe('of the tokens that count'),
    node: z.string().nullable(),
    end: SessionEndSchema.nullable(),
  })
  .meta({ id: 'SessionView' })

export const ConnectedSchema = SessionViewSchema.extend({
  spawned: z.boolean().describe('whether this call has made it'),
  token: z.string().nullable().describe('null: whoever knows the hostname may visit'),
  statusUrl: z.string(),
}).meta({ id: 'Connected' })
