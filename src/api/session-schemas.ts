import { z } from 'zod'
import { appName, nodeName } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import {
  AT_TIMEOUT,
  MOST_SESSION_TOKENS,
  SESSION_END_KINDS,
  SESSION_END_REASONS,
  SESSION_PORTS,
  SESSION_STATES,
  type Session,
  TEMPLATE_DEFAULTS,
  type Template,
  VISITORS,
  WHEN_IDLE,
} from '../model/session.ts'
import { volumeSource } from '../model/volume-source.ts'
import { LabelsSchema } from './labels-schema.ts'
import { parsed } from './parsed.ts'

export const TemplateNameSchema = parsed('TemplateName', 'the name of a template', 'editor', appName)
export const SpanSchema = parsed('Span', 'a length of time with its unit', '1h', duration)

export const SessionKeySchema = z
  .strictObject({
    name: z.string().min(1).max(200),
    namespace: z.string().max(200).default(''),
    tag: z.string().max(200).optional().describe('a live session with the key and another tag is a conflict'),
  })
  .meta({ id: 'SessionKey' })

const templateFields = {
  lifetime: SpanSchema.optional().describe('how long a session lives at most; left out: as long as somebody uses it'),
  whenIdle: z
    .enum(WHEN_IDLE)
    .default(TEMPLATE_DEFAULTS.whenIdle)
    .describe('what becomes of a session that nobody has used for the idle time of the definition'),
  most: z.int().min(1).max(100_000).default(TEMPLATE_DEFAULTS.most).describe('most sessions at a time'),
  visitors: z
    .enum(VISITORS)
    .default(TEMPLATE_DEFAULTS.visitors)
    .describe('token: who has one; all: whoever knows the hostname'),
  ports: z
    .enum(SESSION_PORTS)
    .default(TEMPLATE_DEFAULTS.ports)
    .describe('main: only the port of the definition; all: each port has the hostname PORT-SLOT.HOSTNAME-OF-TEMPLATE'),
  authUrl: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .optional()
    .describe('asked about each visit without a token, and before a connect that passes its visitor on'),
  warm: z
    .int()
    .min(0)
    .max(1_000)
    .optional()
    .describe('how many sessions are kept started ahead of time, beside those in use; left out: none'),
  pool: LabelsSchema.optional().describe('labels that a node must have to take its sessions; left out: any node'),
  volumeFrom: parsed('VolumeSource', 'app:NAME or snapshot:NAME/ID', 'app:golden', volumeSource)
    .optional()
    .describe('what the volume of a session that has none yet is a copy of; left out: it begins empty'),
}
export const TemplateSchema = z.strictObject(templateFields).meta({ id: 'Template' })
/** As it is stored in an app's document. */
export const StoredTemplateSchema: z.ZodType<Template> = z.object({
  ...templateFields,
  whenIdle: z.enum(WHEN_IDLE),
  most: z.int(),
  visitors: z.enum(VISITORS),
  ports: z.enum(SESSION_PORTS).optional(),
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
  template: TemplateNameSchema,
  key: z.object({ name: z.string(), namespace: z.string(), tag: z.string().optional() }).optional(),
  until: z.iso.datetime().optional(),
  whenIdle: z.enum(WHEN_IDLE),
  idle: SpanSchema.optional(),
  visitors: z.enum(VISITORS),
  ports: z.enum(SESSION_PORTS).optional(),
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
  pool: z.record(z.string(), z.string()).optional(),
  warm: z.object({ of: z.string(), ready: z.boolean() }).optional(),
  sandbox: z
    .object({ metadata: z.record(z.string(), z.string()), atTimeout: z.enum(AT_TIMEOUT), seed: z.string().optional() })
    .optional(),
  ending: SessionEndSchema.optional(),
}) as never

const SessionStateSchema = z.enum(SESSION_STATES)

/** A session as it is shown. */
export const SessionViewSchema = z
  .object({
    session: z.string().describe('its name, which is that of its app'),
    template: TemplateNameSchema,
    key: SessionKeySchema.nullable(),
    state: SessionStateSchema,
    since: z.iso.datetime().describe('since when it is in this state, or since when it is asked for'),
    until: z.iso.datetime().nullable().describe('when it ends, whoever uses it'),
    url: z.string(),
    users: z.array(z.string()).describe('of the tokens that count'),
    node: z.string().nullable(),
    warm: z.boolean().describe('it was started ahead of time, and is nobody’s yet'),
    end: SessionEndSchema.nullable(),
  })
  .meta({ id: 'SessionView' })

export const ConnectedSchema = SessionViewSchema.extend({
  spawned: z.boolean().describe('whether this call has made it, or taken it from the pool'),
  fromPool: z.boolean().describe('whether this call has taken it from the sessions that were started ahead of time'),
  token: z.string().nullable().describe('null: whoever knows the hostname may visit'),
  statusUrl: z.string(),
}).meta({ id: 'Connected' })
