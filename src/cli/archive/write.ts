import { createHash } from 'node:crypto'
import { byteReader } from '../../lib/byte-reader.ts'
import { padding, TAR_END, tarHeader } from '../../lib/tar/header.ts'
import { DIGEST_BYTES, Digests } from './digests.ts'
import { type ArchivedValues, altered, asText, ENTRIES, type Manifest } from './format.ts'
import type { ArchiveKeys } from './secrets.ts'

/** The image of a volume as a node sends it: a sparse file of `length` bytes, which end with a SHA-256; `size` is that of the image. */
export type SentImage = { readonly length: number; readonly size: number; readonly bytes: AsyncIterable<Uint8Array> }

/** The source of an app as the masters have it: a tar of `length` bytes. */
export type SentSource = { readonly length: number; readonly bytes: AsyncIterable<Uint8Array> }

type Contents = {
  readonly manifest: Manifest
  readonly definition: object
  readonly values: ArchivedValues
  readonly keys: ArchiveKeys | undefined
  readonly source?: SentSource | undefined
  readonly image: SentImage | undefined
  readonly at: Date
}

/** The archive of an app, as a tar without compression. */
export async function* writeArchive({
  manifest,
  definition,
  values,
  keys,
  source,
  image,
  at,
}: Contents): AsyncGenerator<Buffer> {
  const digests = new Digests()
  const seconds = at.getTime() / 1000
  const whole = (name: string, body: Buffer): Buffer => {
    digests.add(name, body)
    return Buffer.concat([tarHeader({ name, size: body.length }, seconds), body, padding(body.length)])
  }
  const head = asJson(manifest)
  const app = asJson(definition)
  yield whole(ENTRIES.manifest, head)
  yield whole(ENTRIES.definition, app)
  if (keys !== undefined) yield whole(ENTRIES.secrets, keys.seal(asText(manifest.format, values), contextOf(head, app)))
  if (source !== undefined) {
    yield tarHeader({ name: ENTRIES.source, size: source.length }, seconds)
    yield* digests.through(ENTRIES.source, exactly(source))
    yield padding(source.length)
  }
  if (image !== undefined) {
    const size = image.length - DIGEST_BYTES
    yield tarHeader({ name: 'GNUSparseFile.0/image.ext4', size, pax: sparsePax(image.size) }, seconds)
    yield* digests.through(ENTRIES.volume, checked(image.bytes, size))
    yield padding(size)
  }
  const sha256 = digests.hex
  yield whole(ENTRIES.checksums, asJson({ sha256, hmac: keys?.sign(JSON.stringify(sha256)) ?? null }))
  yield TAR_END
}

/** The secrets cannot be put beside another definition. */
export const contextOf = (manifest: Buffer, definition: Buffer): Buffer =>
  createHash('sha256').update(`${manifest.length} ${definition.length}\n`).update(manifest).update(definition).digest()

/** What makes GNU tar and others unpack the entry as a sparse file. */
const sparsePax = (size: number) => ({
  'GNU.sparse.major': '1',
  'GNU.sparse.minor': '0',
  'GNU.sparse.name': ENTRIES.volume,
  'GNU.sparse.realsize': String(size),
})

const asJson = (value: object): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`)

async function* exactly({ length, bytes }: SentSource): AsyncGenerator<Buffer> {
  const reader = byteReader(bytes, () => altered('the source was cut short on its way from the master'))
  for (let left = length; left > 0; ) {
    const piece = await reader.some(left)
    left -= piece.length
    yield piece
  }
}

/** The bytes before the checksum at their end, which is compared. */
async function* checked(bytes: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Buffer> {
  const damaged = () => altered('the volume was damaged on its way from its node')
  const reader = byteReader(bytes, damaged)
  const hash = createHash('sha256')
  for (let left = length; left > 0; ) {
    const piece = await reader.some(left)
    hash.update(piece)
    left -= piece.length
    yield piece
  }
  if (!(await reader.take(DIGEST_BYTES)).equals(hash.digest())) throw damaged()
}
