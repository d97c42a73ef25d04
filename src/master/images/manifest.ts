import { createHash } from 'node:crypto'
import { z } from 'zod'
import { isOciDigest, type OciDigest } from '../../model/image-store.ts'
import { fault } from './faults.ts'

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const IMAGES = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json']
const INDEXES = [OCI_INDEX, 'application/vnd.docker.distribution.manifest.list.v2+json']
/** Layers that stay with whoever made them: a manifest may name them without their content being here. */
const FOREIGN = /^application\/vnd\.(?:oci\.image\.layer\.nondistributable|docker\.image\.rootfs\.foreign)\./
/** Images have some dozens of layers. */
const MOST_REFERENCES = 1_000

const DigestSchema = z.string().refine(isOciDigest, { error: 'is not a digest' })
const DescriptorSchema = z.object({ mediaType: z.string(), digest: DigestSchema, size: z.int().min(0) })
const PlatformSchema = z.object({ os: z.string(), architecture: z.string() })

const common = {
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  artifactType: z.string().optional(),
  subject: DescriptorSchema.nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
}
const ImageSchema = z.object({
  ...common,
  config: DescriptorSchema,
  layers: z.array(DescriptorSchema).max(MOST_REFERENCES),
})
const IndexSchema = z.object({
  ...common,
  manifests: z.array(DescriptorSchema.extend({ platform: PlatformSchema.optional() })).max(MOST_REFERENCES),
})

/** What a manifest says. */
export type Manifest = {
  readonly mediaType: string
  /** Blobs that it needs. */
  readonly blobs: readonly OciDigest[]
  /** Manifests that it needs: of an index, those of the platforms. */
  readonly manifests: readonly { digest: OciDigest; platform?: { os: string; architecture: string } | undefined }[]
  /** The configuration of the image; undefined for an index. */
  readonly config?: OciDigest | undefined
  /** The bytes of its layers and configuration. */
  readonly bytes: number
  /** The manifest that it is about, such as the one that it signs. */
  readonly subject?: OciDigest | undefined
  readonly artifactType?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

/** Parses a manifest, or an index of manifests; fails with MANIFEST_INVALID. */
export function parseManifest(text: string, type: string | undefined): Manifest {
  const value = jsonOf(text)
  const declared = (value as { mediaType?: unknown } | null)?.mediaType
  const mediaType = type ?? declared
  if (declared !== undefined && declared !== mediaType)
    throw invalid(`it says mediaType ${String(declared)}, and the request says Content-Type ${type}`)
  if (INDEXES.includes(String(mediaType))) {
    const index = checked(IndexSchema, value)
    const manifests = index.manifests.map(({ digest, platform }) => ({ digest, platform }))
    return { ...about(index, index.artifactType), mediaType: String(mediaType), blobs: [], manifests, bytes: 0 }
  }
  if (!IMAGES.includes(String(mediaType)))
    throw invalid(
      `its type is ${String(mediaType).slice(0, 200)}; this store takes ${[...IMAGES, ...INDEXES].join(', ')}`,
    )
  const image = checked(ImageSchema, value)
  const here = [image.config, ...image.layers.filter(({ mediaType }) => !FOREIGN.test(mediaType))]
  return {
    ...about(image, image.artifactType ?? image.config.mediaType),
    mediaType: String(mediaType),
    blobs: [...new Set(here.map(({ digest }) => digest))],
    manifests: [],
    config: image.config.digest,
    bytes: here.reduce((sum, { size }) => sum + size, 0),
  }
}

function about(
  { subject, annotations }: Pick<z.output<typeof ImageSchema>, 'subject' | 'annotations'>,
  artifactType: string | undefined,
) {
  return {
    ...(subject && { subject: subject.digest }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const { data, error } = schema.safeParse(value)
  if (error === undefined) return data
  const [issue] = error.issues
  throw invalid(`${issue?.path.join('.') || 'it'}: ${issue?.message}`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid(`it is not JSON: ${(cause as Error).message}`)
  }
}

const invalid = (why: string) => fault('MANIFEST_INVALID', `the manifest is not well formed: ${why}`)

/** The digest of the text by this algorithm. */
export const digestOfText = (text: string, algorithm: string): OciDigest =>
  `${algorithm}:${createHash(algorithm).update(text).digest('hex')}` as OciDigest
