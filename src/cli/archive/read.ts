import { createHash } from 'node:crypto'
import type { z } from 'zod'
import { type ByteReader, byteReader } from '../../lib/byte-reader.ts'
import { ShadowError } from '../../lib/errors.ts'
import { padding, type TarHeader } from '../../lib/tar/header.ts'
import { nextEntry } from '../../lib/tar/read.ts'
import { Digests } from './digests.ts'
import {
  type ArchivedValues,
  altered,
  ChecksumsSchema,
  cutShort,
  ENTRIES,
  FORMAT,
  fromText,
  type Manifest,
  ManifestSchema,
  noArchive,
} from './format.ts'
import { ArchiveKeys } from './secrets.ts'
import { contextOf } from './write.ts'

const LARGEST_DOCUMENT = 16 * 2 ** 20

/** The image in an archive; `bytes` are to be read once, and fail where the archive is not whole: then nothing may be made of them. */
export type ArchivedImage = { readonly size: number; readonly dataBytes: number; readonly bytes: AsyncIterable<Buffer> }

/** What an archive says of its app. */
export type Described = {
  readonly manifest: Manifest
  readonly definition: Record<string, unknown>
  readonly values: ArchivedValues
}
/** The source in an archive. Nothing but its digest, which is in the definition, says whether the bytes are those that were exported. */
export type ArchivedSource = { readonly size: number; readonly bytes: AsyncIterable<Buffer> }
type Asked = {
  /** Called where there are secrets. */
  readonly passphrase: () => Promise<string>
  /** Takes the source, if there is one, before the image is read; it need not read all of it. */
  readonly takeSource: (source: ArchivedSource, described: Described) => Promise<void>
}

/** An archive whose begin was read. */
export type Archive = Described & {
  readonly image: ArchivedImage | undefined
  /** Reads an archive without an image to its end; fails with `bad-input` where it is not whole. */
  finish(): Promise<void>
}

/**
 * Reads an archive (without compression) up to the image. Fails with `bad-input` for what is no archive, one of a later format, another
 * passphrase, and one that was changed.
 */
export async function readArchive(tar: AsyncIterable<Uint8Array>, { passphrase, takeSource }: Asked): Promise<Archive> {
  const reader = byteReader(tar, cutShort)
  const digests = new Digests()
  const { bytes: head, value: manifest } = await document(
    reader,
    digests,
    await entry(reader, noArchive),
    'manifest',
    ManifestSchema,
    noArchive,
  )
  if (manifest.format > FORMAT)
    throw new ShadowError(
      'bad-input',
      `the archive has format ${manifest.format}, and this version of Shadow reads up to ${FORMAT}`,
      {
        hint: 'use the version that made it, or a later one',
      },
    )
  const app = await document(reader, digests, await entry(reader), 'definition')
  let next = await entry(reader)
  let keys: ArchiveKeys | undefined
  let values: ArchivedValues = { env: {}, secrets: {} }
  if (manifest.secrets !== null) {
    if (next.name !== ENTRIES.secrets) throw altered('its secrets are missing')
    const sealed = await body(reader, digests, next, ENTRIES.secrets)
    keys = await ArchiveKeys.from(await passphrase(), manifest.secrets)
    values = fromText(manifest.format, keys.open(sealed, contextOf(head, app.bytes)))
    next = await entry(reader)
  }
  const described = { manifest, definition: app.value, values }
  if (next.name === ENTRIES.source) {
    const { size } = next
    const bytes = bytesOf(reader, digests, ENTRIES.source, size)
    await takeSource({ size, bytes: { [Symbol.asyncIterator]: () => ({ next: () => bytes.next() }) } }, described)
    for await (const _ of bytes); // what was not read of it
    await reader.take(padding(size).length)
    next = await entry(reader)
  }
  const finish = async (last: TarHeader): Promise<void> => {
    if (last.name !== ENTRIES.checksums) throw altered(`it has an entry ${last.name}`)
    const expected = JSON.stringify(digests.hex)
    const { value } = await document(reader, new Digests(), last, 'checksums', ChecksumsSchema)
    if (JSON.stringify(value.sha256) !== expected) throw altered('a checksum is another one')
    if (keys !== undefined && !keys.isSigned(expected, value.hmac ?? ''))
      throw altered('its checksums are not those that were signed')
    if ((await nextEntry(reader, () => altered('its end is missing'))) !== undefined)
      throw altered('it goes on after its end')
    if (!(await reader.isOver())) throw altered('it goes on after its end')
  }
  const { pax = {} } = next
  if (pax['GNU.sparse.name'] !== ENTRIES.volume) return { ...described, image: undefined, finish: () => finish(next) }
  const size = Number(pax['GNU.sparse.realsize'])
  if (!Number.isSafeInteger(size) || size < 0) throw altered('its volume has no size')
  const image = { size, dataBytes: next.size, bytes: imageBytes(reader, digests, next, finish) }
  return { ...described, image, finish: async () => undefined }
}

/** The image and its checksum, as a node reads it. The checksum comes once the whole archive was found to be good: until then a node makes nothing of it. */
async function* imageBytes(
  reader: ByteReader,
  digests: Digests,
  { size }: TarHeader,
  finish: (last: TarHeader) => Promise<void>,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  for await (const piece of bytesOf(reader, digests, ENTRIES.volume, size)) {
    hash.update(piece)
    yield piece
  }
  await reader.take(padding(size).length)
  await finish(await entry(reader))
  yield hash.digest()
}

async function* bytesOf(reader: ByteReader, digests: Digests, name: string, size: number): AsyncGenerator<Buffer> {
  for (let left = size; left > 0; ) {
    const piece = await reader.some(left)
    digests.add(name, piece)
    left -= piece.length
    yield piece
  }
}

async function entry(
  reader: ByteReader,
  wrong: () => ShadowError = () => altered('it is no tar any more'),
): Promise<TarHeader> {
  const next = await nextEntry(reader, wrong)
  if (next === undefined) throw altered('entries are missing')
  return next
}

async function body(reader: ByteReader, digests: Digests, { size }: TarHeader, name: string): Promise<Buffer> {
  if (size > LARGEST_DOCUMENT) throw altered(`${name} is too large`)
  const bytes = await reader.take(size)
  await reader.take(padding(size).length)
  digests.add(name, bytes)
  return bytes
}

async function document<T = Record<string, unknown>>(
  reader: ByteReader,
  digests: Digests,
  header: TarHeader,
  name: keyof typeof ENTRIES,
  schema?: z.ZodType<T>,
  wrong: () => ShadowError = () => altered(`${ENTRIES[name]} is not readable`),
): Promise<{ bytes: Buffer; value: T }> {
  if (header.name !== ENTRIES[name]) throw wrong()
  const bytes = await body(reader, digests, header, ENTRIES[name])
  try {
    const value = JSON.parse(bytes.toString()) as unknown
    return { bytes, value: schema === undefined ? (value as T) : schema.parse(value) }
  } catch {
    throw wrong()
  }
}
