import { z } from 'zod'
import { ShadowError } from '../../lib/errors.ts'
import { DIGEST_BYTES } from './digests.ts'

/** The latest version of the format. A later one may be read by later versions of Shadow only. */
export const FORMAT = 3

/** The entries of an archive, in their order. */
export const ENTRIES = {
  /** What the archive is. */
  manifest: 'shadow.json',
  /** The definition of the app, without its environment. */
  definition: 'app.json',
  /** Its environment and its secrets, encrypted; left out where it has none. */
  secrets: 'secrets.enc',
  /** The source that it runs, a tar; left out where it runs an image alone. */
  source: 'source.tar',
  /** The image of its volume, as a sparse file; left out where it has no data. */
  volume: 'volume/image.ext4',
  /** The SHA-256 of all entries before. */
  checksums: 'checksums.json',
} as const

export const ManifestSchema = z.object({
  format: z.int(),
  app: z.string(),
  exportedAt: z.string(),
  /** How a passphrase becomes a key (RFC 7914); null: there are no secrets. */
  secrets: z
    .object({ kdf: z.literal('scrypt'), cost: z.int().max(2 ** 18), blockSize: z.int().max(16), salt: z.string() })
    .nullable(),
})
/** What is encrypted in an archive. Format 1 has the environment alone. */
export type ArchivedValues = {
  readonly env: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, string>>
}

/** An app without a source, or without secrets, is exported so that earlier versions of Shadow can read it. */
export const formatFor = ({ secrets }: ArchivedValues, hasSource: boolean): number =>
  hasSource ? FORMAT : Object.keys(secrets).length === 0 ? 1 : 2
export const asText = (format: number, { env, secrets }: ArchivedValues): string =>
  JSON.stringify(format === 1 ? env : { env, secrets })
export const fromText = (format: number, text: string): ArchivedValues =>
  format === 1 ? { env: JSON.parse(text), secrets: {} } : JSON.parse(text)

export type Manifest = z.output<typeof ManifestSchema>

export const ChecksumsSchema = z.object({
  sha256: z.record(z.string(), z.string().length(2 * DIGEST_BYTES)),
  /** Of the checksums, by the key of the passphrase; null: there are no secrets. */
  hmac: z.string().nullable(),
})

export const noArchive = (): ShadowError =>
  new ShadowError('bad-input', 'this is no archive of shadow export', { hint: 'shadow import < blog.tar.zst' })
export const cutShort = (): ShadowError =>
  new ShadowError('bad-input', 'the archive ends before its last byte; nothing was changed', {
    hint: 'was it copied as a whole? export the app again',
  })
export const altered = (what: string): ShadowError =>
  new ShadowError('bad-input', `the archive is damaged, or somebody has changed it: ${what}; nothing was changed`)
