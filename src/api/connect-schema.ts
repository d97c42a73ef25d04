import { z } from 'zod'
import { size } from '../model/quantities.ts'
import { SESSION_PORTS, TEMPLATE_DEFAULTS } from '../model/session.ts'
import { LabelsSchema } from './labels-schema.ts'
import { parsed } from './parsed.ts'
import { ReplaceSchema } from './schemas.ts'
import { SessionKeySchema, SpanSchema, TemplateNameSchema } from './session-schemas.ts'

const line = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[\x20-\x7e]*$/, 'takes printable characters of ASCII: it is sent in a header')

const Size = parsed('SpawnSize', 'a size with its unit', '64MiB', size)
const SpawnLimitsSchema = z.strictObject({
  memory: Size.optional(),
  cpus: z.number().min(0.01).optional(),
  pids: z.int().min(1).optional(),
  reserve: Size.optional(),
  disk: Size.optional(),
  shm: Size.optional(),
})

/** What a template would say of a session that is made from an image: its definition says it in the same way. */
const { image, command, port, volume, egress, ready } = ReplaceSchema.shape
const ofImage = {
  image: image.optional().describe('makes a new session from this image, in place of a template'),
  command: command.describe('with an image: what runs in place of its command'),
  port,
  ready: ready.unwrap().optional().describe('with an image: when the session is ready; left out: as it listens'),
  volume: volume.describe('with an image: block storage; it belongs to the key'),
  egress,
  ports: z.enum(SESSION_PORTS).optional().describe('with an image: which ports of the session have a hostname'),
}
const IMAGE_FIELDS = ['image', 'command', 'port', 'ready', 'volume', 'egress', 'ports'] as const

/** What `connect` is asked for. */
export const ConnectSchema = z
  .strictObject({
    template: TemplateNameSchema.optional().describe('left out: spawn.image says what the session is made from'),
    key: SessionKeySchema.optional().describe('left out: a new session each time'),
    spawn: z
      .strictObject({
        env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,199}$/), z.string().max(32_768)).default({}),
        lifetime: SpanSchema.optional(),
        idle: SpanSchema.optional().describe('how long nobody may use it before it ends or sleeps'),
        limits: SpawnLimitsSchema.optional().describe(
          'in place of those of the template, and not above them; with an image: its own',
        ),
        pool: LabelsSchema.optional().describe('labels that its node must have, in place of those of the template'),
        ...ofImage,
      })
      .nullable()
      .default({ env: {} })
      .describe('variables and limits of a new session, beside those of the template; null: only a session that lives'),
    user: line(200).optional().describe('told to the app as X-Verified-User with each request by the token'),
    auth: z.record(z.string(), z.unknown()).optional().describe('told to the app as X-Verified-Auth, as JSON'),
    visitor: z
      .strictObject({
        headers: z
          .record(
            z.string().max(100),
            z
              .string()
              .max(16_384)
              .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'is not a value of a header'),
          )
          .describe('Cookie, Authorization, Accept and User-Agent of its request; others are left out'),
        address: z.union([z.ipv4(), z.ipv6()]).optional(),
      })
      .optional()
      .describe('for whom the caller connects: the authUrl of the template is asked first, and says who the user is'),
    tokenLifetime: SpanSchema.optional().describe(
      `how long the token counts; left out: ${TEMPLATE_DEFAULTS.tokenLifetime}`,
    ),
    token: z
      .string()
      .regex(/^[A-Za-z0-9_-]{16,200}$/, 'takes 16 to 200 of A-Z, a-z, 0-9, _ and -')
      .optional()
      .describe('a token of the caller’s own, for apps that need a stable path; it counts as long as the session'),
  })
  .superRefine(({ template, spawn }, context) => {
    const fault = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message })
    if (template === undefined && spawn?.image === undefined)
      fault(['template'], 'must be given, unless spawn.image says what the session is made from')
    if (template === undefined) return
    for (const field of IMAGE_FIELDS)
      if (spawn?.[field] !== undefined)
        fault(['spawn', field], `cannot be given beside a template: ${template} says it`)
  })
  .meta({ id: 'Connect' })
