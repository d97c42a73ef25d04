import { z } from 'zod'
import { ociDigest, repository } from '../model/image-store.ts'
import { duration, toMs } from '../model/quantities.ts'
import { admin, type Call } from './call-shape.ts'
import { parsed } from './parsed.ts'
import { AppNameSchema, DurationSchema } from './schemas.ts'

const OciDigestSchema = parsed('OciDigest', 'a digest as OCI writes it', 'sha256:e3b0c442…', ociDigest)
const RepositorySchema = parsed(
  'Repository',
  'a repository of the image store: APP, or APP/MORE',
  'blog/worker',
  repository,
)

/** A push that takes longer than this may find that something it builds on was removed. */
const LEAST_AGE = '1h'

/** The calls about the image store, besides the OCI distribution protocol at /v2/. */
export const imageCalls = {
  listImages: {
    says: 'list the images of the store by repository, oldest first, with the apps that need them; after: next of the page before',
    query: z.strictObject({
      repository: RepositorySchema.optional(),
      after: z.string().max(400).optional(),
      limit: z.coerce.number().int().min(1).max(1_000).default(500),
    }),
    answer: z.object({
      items: z.array(
        z.object({
          repository: z.string(),
          tags: z.array(z.string()),
          digest: z.string(),
          mediaType: z.string(),
          bytes: z.number().describe('its layers and configuration, also those that other images have too'),
          pushedAt: z.iso.datetime(),
          apps: z.array(AppNameSchema).describe('apps that run it, or can go back to it'),
        }),
      ),
      next: z.string().nullable(),
    }),
    may: admin,
  },
  removeImage: {
    says: 'remove a tag (blog:3), or an image with its tags (blog@sha256:…); fails with already-exists if an app needs the image; layers are removed by pruneImages',
    query: z.strictObject({ image: z.string().max(500) }),
    answer: 'nothing',
    may: admin,
  },
  pruneImages: {
    says: 'remove images that no tag, app or index needs, layers that no image needs, unfinished uploads, and sources (blobs) that no release in reach has, if nobody has pushed or asked for them within olderThan; dryRun changes nothing',
    body: z.strictObject({
      olderThan: DurationSchema.default(duration('24h')).refine(time => toMs(time) >= toMs(duration(LEAST_AGE)), {
        error: `must be at least ${LEAST_AGE}: a push in progress needs what it builds on`,
      }),
      dryRun: z.boolean().default(false),
    }),
    answer: z.object({
      images: z.array(z.object({ repository: z.string(), digest: z.string() })),
      blobs: z.int(),
      bytes: z.number().describe('the size of the removed layers'),
      uploads: z.int(),
      sources: z.int(),
      sourceBytes: z.number().describe('the size of the removed sources'),
    }),
    may: admin,
  },
  readImage: {
    says: 'read the manifest of an image, or a blob that the manifest names; Range. A node shows the permit that its definition came with',
    params: z.strictObject({ part: OciDigestSchema }),
    query: z.strictObject({ repository: RepositorySchema, image: OciDigestSchema }),
    content: 'application/octet-stream',
    answer: 'stream',
    may: ['admin', 'node'],
  },
} as const satisfies Record<string, Call>
