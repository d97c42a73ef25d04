import { z } from 'zod'
import { MADE_BY, OUTCOMES } from '../model/release.ts'
import { admin, appParams, type Call, flag, shown } from './call-shape.ts'
import { SecretsPatchSchema } from './env-schema.ts'
import { NoteSchema } from './made-schema.ts'
import { AppSchema, TaskSchema } from './schemas.ts'

const RevisionSchema = z.coerce.number().int().min(1)
const DigestsSchema = z.record(z.string(), z.string())

const ChangeSchema = z
  .object({
    field: z.string(),
    before: z.unknown().optional().describe('left out: the field was not there'),
    after: z.unknown().optional().describe('left out: the field is not there any more'),
  })
  .meta({ id: 'ReleaseChange' })

const release = {
  revision: z.int().min(1),
  createdAt: z.iso.datetime(),
  made: z
    .object({ by: z.enum(MADE_BY), to: z.int().optional(), who: z.string().optional(), note: z.string().optional() })
    .nullable()
    .describe('what made it; null: an earlier version of Shadow did not record it'),
  image: z.string(),
  digest: z.string().nullable().describe('of its image: in the registry, else the id on its node; null: it never ran'),
  secretsVersion: z.int().nullable(),
  isCurrent: z.boolean(),
  serves: z.boolean().describe('an instance of it is awake'),
  outcome: z
    .enum(OUTCOMES)
    .nullable()
    .describe('whether it was ready, or an earlier one ran in its place; null: that is not known'),
}

export const ReleaseSchema = z
  .object({ ...release, changes: z.array(ChangeSchema).describe('against the release before, without values') })
  .meta({ id: 'Release' })

/** The calls about releases and secrets. */
export const releaseCalls = {
  listReleases: {
    says: 'list the releases that can be rolled back to, newest first, and the nodes that did not answer which one serves',
    params: appParams,
    answer: z.object({ items: z.array(ReleaseSchema), silent: z.array(z.string()) }),
    may: admin,
  },
  getRelease: {
    says: 'read a release with its task definition, and its secrets as digests',
    params: appParams.extend({ revision: RevisionSchema }),
    query: z.strictObject(shown),
    answer: z.object({ ...release, task: TaskSchema, secrets: DigestsSchema }),
    may: admin,
  },
  diffReleases: {
    says: 'compare two releases field by field, variables and secrets by digests; left out: to is the current one, from the one before it',
    params: appParams,
    query: z.strictObject({ from: RevisionSchema.optional(), to: RevisionSchema.optional() }),
    answer: z.object({ from: z.int(), to: z.int(), changes: z.array(ChangeSchema) }),
    may: admin,
  },
  rollbackApp: {
    says: 'make a new release with the definition, the image and the secrets of an earlier one; domains, access rules, scale and the size of the volume stay; to left out: the last one that was ready; If-Match; fails with not-found if that release is out of reach',
    params: appParams,
    query: z.strictObject(shown),
    body: z.strictObject({ to: z.int().min(1).optional(), note: NoteSchema.optional() }),
    answer: z.object({
      app: AppSchema,
      from: z.int().describe('the release before; that of the app: the current one is the same already'),
      to: z.int(),
    }),
    may: admin,
  },
  listNeeded: {
    says: 'list what the releases need that can be rolled back to, app by app: no image and no blob of these may be removed',
    query: z.strictObject({
      after: z.string().optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(200).describe('apps of a page'),
    }),
    answer: z.object({
      items: z.array(
        z.object({
          app: z.string(),
          revision: z.int(),
          image: z.string(),
          id: z.string().optional().describe('of the image, as Docker has it'),
          digest: z.string().optional().describe('of the manifest of the image'),
          source: z.string().optional().describe('the digest of the blob that it runs'),
        }),
      ),
      next: z.string().nullable(),
    }),
    may: admin,
  },
  neededImages: {
    says: 'tell which of these images a release needs that can be rolled back to, of whatever app, asleep or not; a node asks before it removes images',
    body: z.strictObject({
      images: z
        .array(z.strictObject({ name: z.string().max(500), id: z.string().max(200) }))
        .max(1000)
        .describe('id: as Docker has it'),
    }),
    answer: z.object({ needed: z.array(z.string()).describe('names of images') }),
    may: ['admin', 'node'],
  },
  listSecrets: {
    says: 'list the secrets of an app by name, with digests of their values, and what is staged for the next release',
    params: appParams,
    answer: z.object({
      version: z.int().nullable(),
      items: z.array(z.object({ name: z.string(), digest: z.string(), since: z.int().describe('a release') })),
      staged: z.array(z.object({ name: z.string(), digest: z.string().nullable().describe('null: taken away') })),
    }),
    may: admin,
  },
  changeSecrets: {
    says: 'change secrets by a JSON merge patch, which makes a release; with what is staged; stage=true: the next release takes the changes; strict=true fails with not-found if a secret to be removed is not there; If-Match; fails with bad-input if a variable has the name',
    params: appParams,
    query: z.strictObject({ stage: flag, strict: flag, note: NoteSchema.optional(), ...shown }),
    body: SecretsPatchSchema,
    answer: z.object({ app: AppSchema, changed: z.array(z.string()).describe('names of the secrets that changed') }),
    may: admin,
  },
  discardSecrets: {
    says: 'forget what is staged for the next release; If-Match',
    params: appParams,
    answer: z.object({ discarded: z.array(z.string()).describe('names of secrets') }),
    may: admin,
  },
} satisfies Record<string, Call>
