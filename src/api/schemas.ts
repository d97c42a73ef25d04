import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'
import { linePattern } from '../lib/line-pattern.ts'
import { ANSWER_WITHIN, HTTPS_MODES, hsts, IN_FLIGHT, network, rate } from '../model/access.ts'
import type { App, Volume } from '../model/app.ts'
import { sha256 } from '../model/digest.ts'
import { hostname } from '../model/hostname.ts'
import { imageReference } from '../model/image-reference.ts'
import { parseInstanceId } from '../model/instance-id.ts'
import { appName, nodeName, volumeId } from '../model/names.ts'
import { duration, orNever, size, toBytes, toMs } from '../model/quantities.ts'
import type { Route } from '../model/route.ts'
import { faultsOfScale } from '../model/scale.ts'
import {
  LEAST_VOLUME_BYTES,
  TASK_DEFAULTS,
  type TaskDefinition,
  VOLUME_DRIVERS,
  VOLUME_DRIVERS_SAID,
  WEB_SOCKET_POLICIES,
} from '../model/task.ts'
import { MOVE_STAGES } from '../model/volume-move.ts'
import { BudgetStateSchema } from './budget-schema.ts'
import { companionFields, UsesSchema } from './companion-schemas.ts'
import { EgressListSchema, EgressSchema } from './egress-schemas.ts'
import { EnvSchema, SecretsSchema } from './env-schema.ts'
import { releaseFields } from './made-schema.ts'
import { PagesSchema, StoredPagesSchema } from './page-schemas.ts'
import { parsed } from './parsed.ts'
import { PauseSchema } from './pause-schema.ts'
import { DeploySchema, refuseStayWithVolume, StoredDeploySchema } from './rollout-schemas.ts'
import { ScaleSchema, StoredScaleSchema } from './scale-schema.ts'
import { StoredSessionSchema, StoredTemplateSchema, TemplateSchema } from './session-schemas.ts'
import { SourceSchema } from './source-schema.ts'
import { StoredTcpPortsSchema, TcpPortsSchema } from './tcp-schemas.ts'
import { BackupFactsSchema, SnapshotFactsSchema } from './volume-fact-schemas.ts'
import { StoredWakeRulesSchema, sleepFields, WakeRulesSchema } from './wake-schemas.ts'
import { refuseUnreachedHosts, StoredWireSchema, WireSchema } from './wire-schema.ts'

/** A duration of at least a second, or `never`. */
const neverOr = (id: string, example: string) => parsed(id, 'a length of time, or never', example, orNever)

export const AppNameSchema = parsed('AppName', 'a DNS label: 1 to 63 of a-z, 0-9 and -', 'blog', appName)
export const InstanceIdSchema = parsed(
  'InstanceId',
  'the name of the app for its plain instance; app.slot for one of several, the slot a DNS label of up to 32',
  'blog.b',
  parseInstanceId,
)
export const NodeNameSchema = parsed('NodeName', 'a DNS label', 'node-1', nodeName)
export const VolumeIdSchema = parsed('VolumeId', 'a DNS label', 'blog', volumeId)
export const DigestSchema = parsed('Digest', 'a SHA-256 digest in hexadecimal', 'e3b0c442…', sha256)
export const HostnameSchema = parsed('Hostname', 'a hostname without port', 'blog.example.com', hostname)
const ImageSchema = parsed('Image', 'the name of a container image', 'ghcr.io/anna/blog:2', text => {
  imageReference(text)
  return text
})
export const DurationSchema = parsed('Duration', 'a length of time with its unit', '1h30m', duration)
export const SizeSchema = parsed('Size', 'an amount of bytes with its unit', '1GiB', size)

const NetworkSchema = parsed('Network', 'an IP address or a network', '10.0.0.0/8', network)
const RateSchema = parsed(
  'Rate',
  'requests per second, minute or hour; without a burst, those of one unit may all come at once',
  '100/s burst 200',
  rate,
)

const networks = z.array(NetworkSchema).max(1000).default([])
const access = {
  allow: networks.describe('clients that may use the app; if there is one, nobody else may'),
  deny: networks.describe('clients that may not use the app; wins over allow'),
  rate: RateSchema.optional().describe('most requests of all clients together'),
  ratePerClient: RateSchema.optional().describe('most requests of each IPv4 address, or /64 of IPv6'),
  https: z
    .enum(HTTPS_MODES)
    .optional()
    .describe(
      'redirect sends visitors of plain HTTP on to HTTPS, both serves them; left out: SHADOW_HTTPS of the front',
    ),
  hsts: parsed('Hsts', 'for how long browsers are to use HTTPS alone, or off', '365d', hsts)
    .optional()
    .describe('how long browsers must use HTTPS only, or off; left out: SHADOW_HSTS of the front'),
  inFlight: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(`most requests at the app at a time; more wait; left out: ${IN_FLIGHT}`),
  answerWithin: neverOr('AnswerWithin', ANSWER_WITHIN)
    .optional()
    .describe(`most time for the first byte of an answer, or never; left out: ${ANSWER_WITHIN}`),
}
/** The access rules of an app; a field that is left out sets no rule. */
export const AccessSchema = z.strictObject(access).meta({ id: 'Access' })

const longerThan = (least: number, shown: string) =>
  DurationSchema.refine(value => toMs(value) >= least, { error: `must be at least ${shown}` })

const IdleAfterSchema = neverOr('IdleAfter', '5m')

const absolutePath = z
  .string()
  .regex(
    /^(\/(?!\.{1,2}(\/|$))[^/:]+)+$/,
    'must be an absolute path, such as /data, without "." or ".." and not / itself',
  )
  .refine(path => !path.includes('\0'), { error: 'cannot hold a NUL byte' })

// The kernel's own filesystems: Docker refuses a volume that is mounted over or inside them, or the container breaks.
const SYSTEM_FOLDER = /^\/(proc|sys|dev)(\/|$)/

const readiness = <T extends z.ZodType<string>>(line: T) =>
  z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('port') }),
    z.strictObject({ kind: z.literal('healthcheck').describe('when the HEALTHCHECK of the image passes') }),
    z.strictObject({ kind: z.literal('started').describe('as soon as its process runs, whether it serves or not') }),
    z.strictObject({
      kind: z.literal('http'),
      path: z.string().regex(/^\/[\x21-\x7e]*$/, 'must begin with / and have no spaces'),
    }),
    z.strictObject({
      kind: z.literal('log'),
      line,
    }),
  ])

const ReadinessSchema = readiness(
  z
    .string()
    .min(1)
    .max(500)
    .superRefine((line, context) => {
      try {
        linePattern(line)
      } catch (error) {
        if (!(error instanceof ShadowError)) throw error
        context.addIssue({ code: 'custom', message: error.message })
      }
    }),
)

/** The readiness of a stored task. An earlier version may have stored a pattern that RE2 refuses: the error then comes at the wake. */
const StoredReadinessSchema = readiness(z.string())

export const VolumeDriverSchema = z.enum(VOLUME_DRIVERS)

const VolumeInput = z.strictObject({
  size: SizeSchema.refine(value => toBytes(value) >= LEAST_VOLUME_BYTES, {
    error: 'is too small; a volume takes at least 16MiB',
  }),
  path: absolutePath
    .refine(path => !SYSTEM_FOLDER.test(path), {
      error: "is the system's own in every container; use another, such as /data",
    })
    .default(TASK_DEFAULTS.volumePath),
  driver: VolumeDriverSchema.optional().describe(
    `where its bytes are: ${VOLUME_DRIVERS_SAID}; left out: ${TASK_DEFAULTS.volumeDriver}`,
  ),
})

/** How to run an app, as a person gives it. Fields that are left out get their defaults. */
const definition = {
  domains: z
    .array(HostnameSchema)
    .max(100)
    .optional()
    .describe('hostnames of the app; left out: NAME. followed by SHADOW_APPS_DOMAIN of the master'),
  image: ImageSchema,
  command: z
    .array(z.string().refine(word => !word.includes('\0'), { error: 'cannot hold a NUL byte' }))
    .min(1)
    .max(1000)
    .refine(([program]) => program !== '', { error: 'begins with an empty word, which names no program' })
    .optional(),
  env: EnvSchema.default({}),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      `port that the app listens on; left out: the port that the image exposes, if it is exactly one, else ${TASK_DEFAULTS.port}`,
    ),
  volume: VolumeInput.optional(),
  source: SourceSchema.optional(),
  limits: z
    .strictObject({
      memory: SizeSchema.refine(value => toBytes(value) >= 6 * 2 ** 20, {
        error: 'is too small; Docker takes at least 6MiB',
      }).default(size(TASK_DEFAULTS.memory)),
      cpus: z.number().min(0.01).max(512).default(TASK_DEFAULTS.cpus),
      pids: z.int().min(1).max(4_194_304).default(TASK_DEFAULTS.pids),
      reserve: SizeSchema.optional().describe(
        'memory that must be free for the app to be woken; left out: as much as memory',
      ),
      disk: SizeSchema.optional().describe(
        `most that the app may write outside of its volume; left out: ${TASK_DEFAULTS.disk}`,
      ),
      shm: SizeSchema.optional().describe(`size of /dev/shm, which counts as memory; left out: ${TASK_DEFAULTS.shm}`),
    })
    .refine(({ memory, shm }) => shm === undefined || toBytes(shm) <= toBytes(memory), {
      path: ['shm'],
      error: 'is more than its memory, as which it counts; give it more memory, or less of this',
    })
    .prefault({}),
  egress: EgressListSchema,
  wire: WireSchema.optional(),
  uses: UsesSchema.optional(),
  ready: ReadinessSchema.default({ kind: 'port' }),
  startWithin: longerThan(1_000, '1s').default(duration(TASK_DEFAULTS.startWithin)),
  sleep: z
    .strictObject({
      idleAfter: IdleAfterSchema.default(duration(TASK_DEFAULTS.idleAfter)),
      drain: DurationSchema.optional().describe(
        'how long requests in flight may go on when the app is stopped while it is in use; left out: SHADOW_APP_DRAIN and SHADOW_APP_DRAIN_UPDATE of the node',
      ),
      grace: DurationSchema.default(duration(TASK_DEFAULTS.grace)),
      webSockets: z.enum(WEB_SOCKET_POLICIES).default('hold'),
      wakes: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe(`how many times a minute requests may wake the app; left out: ${TASK_DEFAULTS.wakes}`),
      ...sleepFields(IdleAfterSchema, DurationSchema),
    })
    .prefault({}),
  deploy: DeploySchema.optional().describe('how a newer release takes over; left out: open sessions go to it'),
}

export const RegisterSchema = z
  .strictObject({
    name: AppNameSchema,
    ...definition,
    secrets: SecretsSchema.optional(),
    access: AccessSchema.optional(),
    scale: ScaleSchema.optional(),
    wake: WakeRulesSchema.optional(),
    pages: PagesSchema.optional(),
    tcp: TcpPortsSchema.optional(),
    template: TemplateSchema.optional().describe('makes it a template of sessions'),
  })
  .superRefine(refuseStayWithVolume)
  .superRefine(refuseUnreachedHosts)
  .superRefine(({ scale, volume }, context) => {
    if (scale === undefined || volume === undefined) return
    for (const { field, message } of faultsOfScale(scale, true))
      context.addIssue({ code: 'custom', path: ['scale', field], message })
  })
  .meta({ id: 'Register' })
export const ReplaceSchema = z
  .strictObject(definition)
  .superRefine(refuseStayWithVolume)
  .superRefine(refuseUnreachedHosts)
  .meta({ id: 'Replace' })
/** A JSON merge patch (RFC 7396) of the definition. The merged definition is validated by ReplaceSchema. */
export const PatchSchema = z.record(z.string(), z.unknown()).meta({ id: 'Patch' })

export type Register = z.input<typeof RegisterSchema>
export type Definition = z.output<typeof ReplaceSchema>

// The model has the types of what we send. The schemas here describe them for OpenAPI and check what the storage returns.
export const described = <T>(schema: z.ZodType<unknown>, id: string) => (schema as unknown as z.ZodType<T>).meta({ id })

const PinnedImageSchema = z.object({
  id: z.string(),
  digest: z.string().optional(),
  permit: z.string().optional(),
})

/** What a node found out about a definition: the image that its name stands for there, and what became of the current revision. */
export const CheckedSchema = z
  .object({
    image: PinnedImageSchema.nullable(),
    ran: PinnedImageSchema.nullable(),
    revision: z.int().optional().describe('the current revision, as far as the node knows'),
    rejected: z.boolean().optional().describe('true: it could not be made ready, and an earlier one runs in its place'),
  })
  .meta({ id: 'Checked' })

export const TaskSchema = described<TaskDefinition>(
  z.object({
    app: AppNameSchema,
    revision: z.int().min(1),
    image: z.string(),
    pinned: PinnedImageSchema.optional(),
    command: z.array(z.string()).optional(),
    env: z.record(z.string(), z.string()),
    port: z.int(),
    portFrom: z.enum(['image']).optional(),
    volume: z
      .object({ id: VolumeIdSchema, size: SizeSchema, path: z.string(), driver: VolumeDriverSchema.optional() })
      .optional(),
    source: z.object({ digest: DigestSchema }).optional(),
    limits: z.object({
      memory: SizeSchema,
      cpus: z.number(),
      pids: z.int(),
      disk: SizeSchema.optional(),
      shm: SizeSchema.optional(),
      reserve: SizeSchema.optional(),
    }),
    egress: z.array(EgressSchema).optional(),
    wire: StoredWireSchema.optional(),
    uses: UsesSchema.optional(),
    ready: StoredReadinessSchema,
    startWithin: DurationSchema,
    sleep: z.object({
      idleAfter: IdleAfterSchema,
      drain: DurationSchema.optional(),
      grace: DurationSchema,
      webSockets: z.enum(WEB_SOCKET_POLICIES),
      wakes: z.int().optional(),
      ...sleepFields(IdleAfterSchema, DurationSchema),
    }),
    ...releaseFields,
    deploy: StoredDeploySchema.optional(),
    createdAt: z.iso.datetime(),
  }),
  'Task',
)

/** What fronts get of an app; the fields of `AppForFronts`. */
const forFronts = {
  name: AppNameSchema,
  domains: z.array(HostnameSchema),
  access: z.object(access).optional(),
  scale: StoredScaleSchema.optional(),
  wake: StoredWakeRulesSchema.optional(),
  pages: StoredPagesSchema.optional(),
  tcp: StoredTcpPortsSchema.optional(),
  paused: PauseSchema.optional(),
  template: StoredTemplateSchema.optional(),
  session: StoredSessionSchema.optional(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
}
export const AppSchema = described<App>(
  z.object({
    ...forFronts,
    task: TaskSchema,
    budget: BudgetStateSchema.optional(),
    ...companionFields,
    staged: z.int().optional().describe('the version of changes of secrets that the next release takes'),
  }),
  'App',
)
export const RouteSchema = described<Route>(
  z.object({
    ...forFronts,
    revision: z.int().min(1),
    hasVolume: z.boolean(),
    sessions: z.literal('stay').optional(),
    release: z.int().optional().describe('the hostname is that of this release alone'),
    node: NodeNameSchema.nullable().describe('the node that holds the lease of the volume'),
    needs: z
      .object({
        reserveBytes: z.number().optional(),
        image: z
          .string()
          .optional()
          .describe('the first characters of the id of its image, to find nodes that have it'),
        home: NodeNameSchema.optional().describe('it runs there and nowhere else'),
        labels: z.record(z.string(), z.string()).optional().describe('it runs only on nodes that have all of these'),
        volume: z
          .object({
            node: NodeNameSchema.nullable(),
            isLocal: z.boolean(),
            driver: VolumeDriverSchema.optional().describe('only nodes that have it can run the app; left out: loop'),
            isLost: z.boolean().optional(),
            zone: z.string().optional(),
          })
          .optional(),
      })
      .default({})
      .describe('what the app needs of a node'),
    permit: z.string().describe('the front passes it to the node of the app, and the node shows it to the master'),
  }),
  'Route',
)

const LeaseSchema = z.object({ node: NodeNameSchema, epoch: z.int(), until: z.iso.datetime().nullable() })
export const VolumeUseSchema = z
  .object({ usedBytes: z.number(), sizeBytes: z.number(), onDiskBytes: z.number() })
  .meta({ id: 'VolumeUse' })

export const MoveProgressSchema = z
  .object({
    stage: z
      .enum(MOVE_STAGES)
      .describe(
        'copying: the app serves; stopping: it is put to sleep; finishing: it sleeps for the last pass; switching',
      ),
    pass: z.int().describe('a pass reads all data, and sends what the new node does not have'),
    readBytes: z.number(),
    ofBytes: z.number(),
    sentBytes: z.number().describe('what all passes have sent'),
  })
  .meta({ id: 'MoveProgress' })

export const VolumeSchema = described<Volume>(
  z.object({
    id: VolumeIdSchema,
    app: AppNameSchema.nullable(),
    size: SizeSchema,
    driver: VolumeDriverSchema.optional().describe('left out: loop'),
    lease: LeaseSchema.nullable(),
    zone: z.string().optional().describe('only nodes in this zone can attach it'),
    lost: z
      .object({ node: NodeNameSchema, at: z.iso.datetime() })
      .optional()
      .describe('the node whose disk has it was removed as lost'),
    createdAt: z.iso.datetime(),
    use: VolumeUseSchema.optional(),
    snapshots: SnapshotFactsSchema,
    backups: BackupFactsSchema,
  }),
  'Volume',
)
