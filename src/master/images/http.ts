import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { ShadowError } from '../../lib/errors.ts'
import { isTag } from '../../model/image-reference.ts'
import { isOciDigest, type OciDigest, ociDigest, type Repository, repository } from '../../model/image-store.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { ImageBlob } from './blobs.ts'
import { asFault, fault } from './faults.ts'
import { OCI_INDEX } from './manifest.ts'
import type { ImageStore } from './store.ts'

/** The specification wants 4 MiB to be taken. */
const LARGEST_MANIFEST = 4 * 2 ** 20
const MOST_TAGS = 10_000

type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly name: Repository
  /** What the path ends with: a tag, a digest, or the id of an upload. */
  readonly last: string
  readonly query: URLSearchParams
  /** Fails if the caller may not use the repository. */
  readonly mayUse: (name: Repository) => void
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
  /** The image comes from a node that has built it: its tag alone does not keep it. */
  readonly isBuild: boolean
}
type Handler = (store: ImageStore, exchange: Exchange) => Promise<void>

/** The paths of the OCI distribution specification below `/v2/<name>/`. */
const ROUTES: readonly { readonly path: RegExp; readonly handlers: Readonly<Record<string, Handler>> }[] = [
  { path: /^\/v2\/(.+)\/blobs\/uploads\/?()$/, handlers: { POST: startUpload } },
  {
    path: /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/,
    handlers: { GET: showUpload, PATCH: appendChunk, PUT: finishUpload, DELETE: cancelUpload },
  },
  { path: /^\/v2\/(.+)\/blobs\/([^/]+)$/, handlers: { GET: readBlob, HEAD: readBlob, DELETE: removeBlob } },
  {
    path: /^\/v2\/(.+)\/manifests\/([^/]+)$/,
    handlers: { GET: readManifest, HEAD: readManifest, PUT: putManifest, DELETE: removeManifest },
  },
  { path: /^\/v2\/(.+)\/tags\/list()$/, handlers: { GET: listTags } },
  { path: /^\/v2\/(.+)\/referrers\/([^/]+)$/, handlers: { GET: listReferrers } },
]

/** Whether the request only asks whether the protocol is spoken here. */
export const isPing = ({ url = '' }: IncomingMessage): boolean => /^\/v2\/?(?:\?|$)/.test(url)

/** Whether the request sends content that may be large. */
export const sendsBlob = ({ method, url = '' }: IncomingMessage): boolean =>
  ['POST', 'PATCH', 'PUT'].includes(method ?? '') && url.includes('/blobs/uploads/')

/** Answers a request of the OCI distribution protocol, whose caller may use images. */
export async function answerImages(
  store: ImageStore,
  {
    request,
    response,
    mayUse,
    signal,
    isBuild,
  }: Pick<Exchange, 'request' | 'response' | 'mayUse' | 'signal' | 'isBuild'>,
): Promise<void> {
  response.setHeader('docker-distribution-api-version', 'registry/2.0')
  if (isPing(request)) return void response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://master')
  for (const { path, handlers } of ROUTES) {
    const [, name, last = ''] = path.exec(pathname) ?? []
    if (name === undefined) continue
    const handle = handlers[request.method ?? '']
    if (handle === undefined) throw fault('UNSUPPORTED', `${request.method} is not a call of ${pathname.slice(0, 300)}`)
    const known = await asFault('bad-input', 'NAME_INVALID', () => repository(decoded(name)))
    mayUse(known)
    return handle(store, { request, response, name: known, last: decoded(last), query, mayUse, signal, isBuild })
  }
  throw fault('NAME_UNKNOWN', `no such call: ${request.method} ${pathname.slice(0, 300)}`)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw fault('NAME_INVALID', 'the path is not well encoded')
  }
}

const digestIn = (text: string): Promise<OciDigest> => asFault('bad-input', 'DIGEST_INVALID', () => ociDigest(text))

/** The content of the request. A refusal must still reach the client, so a reader that stops early must not destroy the request. */
const contentOf = (request: IncomingMessage): AsyncIterable<Uint8Array> => request.iterator({ destroyOnReturn: false })

async function startUpload({ uploads, blobs }: ImageStore, exchange: Exchange): Promise<void> {
  const { request, name, query, mayUse, signal } = exchange
  const [mounted, digest] = [query.get('mount'), query.get('digest')]
  if (mounted !== null && isOciDigest(mounted)) {
    const from = query.get('from')
    const source = from === null ? await blobs.anyOf(mounted) : repositoryOf(from)
    if (source !== undefined && isUsable(source, mayUse) && (await blobs.mount(name, mounted, source)))
      return created(exchange, mounted)
  }
  if (digest !== null && mounted === null) {
    uploads.mustFit(request.headers['content-length'])
    const wanted = await digestIn(digest)
    await uploads.whole(name, wanted, contentOf(request), signal)
    return created(exchange, wanted)
  }
  accepted(exchange, await uploads.start(name), 0)
}

/** What may not be used is not mounted; then the client sends it. */
function isUsable(source: Repository, mayUse: Exchange['mayUse']): boolean {
  try {
    mayUse(source)
    return true
  } catch {
    return false
  }
}

/** The repository of this name; undefined for what is no name: then nothing is mounted. */
function repositoryOf(text: string): Repository | undefined {
  try {
    return repository(text)
  } catch {
    return undefined
  }
}

async function showUpload({ uploads }: ImageStore, exchange: Exchange): Promise<void> {
  accepted(exchange, exchange.last, await uploads.offset(exchange.name, exchange.last), 204)
}

async function appendChunk(store: ImageStore, exchange: Exchange): Promise<void> {
  accepted(exchange, exchange.last, await append(store, exchange))
}

async function append({ uploads }: ImageStore, { request, response, name, last, signal }: Exchange): Promise<number> {
  uploads.mustFit(request.headers['content-length'])
  const from = firstByteOf(request)
  // A client whose chunk is refused finds the upload here.
  response.setHeader('location', uploadPath(name, last))
  return uploads.append(name, last, { content: contentOf(request), from }, signal)
}

/** The position of the chunk's first byte, by `Content-Range: <first>-<last>`. */
function firstByteOf({ headers }: IncomingMessage): number | undefined {
  const header = headers['content-range']
  if (header === undefined) return undefined
  const [, first, last] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(header) ?? []
  const length = headers['content-length']
  if (first === undefined) throw fault('BLOB_UPLOAD_INVALID', 'Content-Range is not written as FIRST-LAST')
  if (length !== undefined && Number(last) - Number(first) + 1 !== Number(length))
    throw fault('BLOB_UPLOAD_INVALID', `the chunk has ${length} bytes, and its Content-Range is ${header}`)
  return Number(first)
}

async function finishUpload(store: ImageStore, exchange: Exchange): Promise<void> {
  const { request, response, name, last, query, signal } = exchange
  const digest = await digestIn(query.get('digest') ?? '')
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  const hasContent = coding !== undefined || Number(length ?? 0) > 0
  if (hasContent && (await store.uploads.offset(name, last)) === 0 && (firstByteOf(request) ?? 0) === 0) {
    store.uploads.mustFit(length)
    await store.uploads.whole(name, digest, contentOf(request), signal)
    await store.uploads.cancel(name, last)
    return created(exchange, digest)
  }
  if (hasContent) await append(store, exchange)
  await store.uploads.finish(name, last, digest, signal)
  response.removeHeader('location')
  created(exchange, digest)
}

async function cancelUpload({ uploads }: ImageStore, { response, name, last }: Exchange): Promise<void> {
  await uploads.cancel(name, last)
  response.writeHead(204).end()
}

const uploadPath = (name: Repository, id: string): string => `/v2/${name}/blobs/uploads/${id}`

function accepted({ response, name }: Exchange, id: string, bytes: number, status = 202): void {
  response.writeHead(status, {
    location: uploadPath(name, id),
    range: `0-${Math.max(0, bytes - 1)}`,
    'docker-upload-uuid': id,
    'content-length': 0,
  })
  response.end()
}

function created({ response, name }: Exchange, digest: OciDigest, kind = 'blobs', headers = {}): void {
  response.writeHead(201, {
    location: `/v2/${name}/${kind}/${digest}`,
    'docker-content-digest': digest,
    'content-length': 0,
    ...headers,
  })
  response.end()
}

async function readBlob({ blobs }: ImageStore, exchange: Exchange): Promise<void> {
  const { request, response, name, last, signal } = exchange
  const digest = await digestIn(last)
  // A client that asks whether a blob is there may leave it out of its next push.
  const isHead = request.method === 'HEAD'
  const blob = await (isHead ? blobs.want(name, digest) : blobs.of(name, digest))
  if (blob === undefined) throw fault('BLOB_UNKNOWN', `${name} has no blob ${digest}`)
  await sendBlob(exchange, digest, blob, range => blobs.read(blob, range, signal))
  response.end()
}

/** Sends the blob, or the range of it that the request names. */
export async function sendBlob(
  { request, response }: Pick<Exchange, 'request' | 'response'>,
  digest: OciDigest,
  { bytes }: Pick<ImageBlob, 'bytes'>,
  read: (range: { first: number; last: number } | undefined) => Promise<AsyncIterable<Uint8Array> | undefined>,
): Promise<void> {
  const isHead = request.method === 'HEAD'
  const range = isHead ? undefined : rangeOf(request.headers.range, bytes)
  const content = isHead ? undefined : await read(range)
  if (!isHead && content === undefined) throw fault('BLOB_UNKNOWN', `the blob ${digest} was removed just now`)
  const { first, last } = range ?? { first: 0, last: bytes - 1 }
  response.writeHead(range === undefined ? 200 : 206, {
    'content-type': 'application/octet-stream',
    'content-length': last - first + 1,
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    ...(range !== undefined && { 'content-range': `bytes ${first}-${last}/${bytes}` }),
  })
  if (content !== undefined) await pipeline(content, response, { end: false })
}

/** The single range that is asked for (RFC 9110, 14.1.2); other forms get the whole blob. Fails with RANGE_INVALID. */
function rangeOf(header: string | undefined, bytes: number): { first: number; last: number } | undefined {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (from === '' && to === '') return undefined
  const first = from === '' ? Math.max(0, bytes - Number(to)) : Number(from)
  const last = from === '' || to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1)
  if (first > last || (from !== '' && to !== '' && Number(to) < first))
    throw fault('RANGE_INVALID', `the blob has ${bytes} bytes, and no range ${header}`)
  return { first, last }
}

async function removeBlob({ blobs, manifests }: ImageStore, { response, name, last }: Exchange): Promise<void> {
  const digest = await digestIn(last)
  const manifest = await manifests.naming(name, digest)
  if (manifest !== undefined) throw fault('DENIED', `the manifest ${manifest} names this blob`, 'delete that one first')
  if (!(await blobs.drop(name, digest))) throw fault('BLOB_UNKNOWN', `${name} has no blob ${digest}`)
  response.writeHead(202, { 'content-length': 0 }).end()
}

async function readManifest({ manifests }: ImageStore, { request, response, name, last }: Exchange): Promise<void> {
  const digest = await manifests.digestOf(name, last)
  const stored = digest && (await manifests.of(name, digest))
  if (digest === undefined || stored === undefined) throw fault('MANIFEST_UNKNOWN', `there is no image ${name}:${last}`)
  response.writeHead(200, {
    'content-type': stored.mediaType,
    'content-length': Buffer.byteLength(stored.text),
    'docker-content-digest': digest,
    etag: `"${digest}"`,
  })
  response.end(request.method === 'HEAD' ? undefined : stored.text)
}

async function putManifest({ manifests }: ImageStore, exchange: Exchange): Promise<void> {
  const { request, response, name, last, query, isBuild } = exchange
  const named = last.includes(':') ? query.getAll('tag') : [last]
  for (const tag of named) if (!isTag(tag)) throw fault('MANIFEST_INVALID', `"${tag.slice(0, 150)}" is no tag`)
  const text = await textOf(request)
  const type = request.headers['content-type']?.split(';')[0]?.trim()
  const digest = last.includes(':') ? { digest: await digestIn(last) } : {}
  const put = await manifests.put(name, text, { type, named, ...digest, isBuild })
  if (named.length > 0 && last.includes(':')) response.setHeader('oci-tag', named)
  const { subject } = put.manifest
  created(exchange, put.digest, 'manifests', { ...(subject !== undefined && { 'oci-subject': subject }) })
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of contentOf(request)) {
    bytes += chunk.length
    if (bytes > LARGEST_MANIFEST)
      throw fault('SIZE_INVALID', `the manifest is larger than ${sayBytes(LARGEST_MANIFEST)}`)
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks))
  } catch {
    throw fault('MANIFEST_INVALID', 'the manifest is not UTF-8')
  }
}

async function removeManifest({ manifests, tags }: ImageStore, { response, name, last }: Exchange): Promise<void> {
  if (isOciDigest(last)) await manifests.remove(name, last)
  else if (!(await tags.remove(name, last))) throw fault('MANIFEST_UNKNOWN', `there is no image ${name}:${last}`)
  response.writeHead(202, { 'content-length': 0 }).end()
}

async function listTags({ tags, manifests }: ImageStore, { response, name, query }: Exchange): Promise<void> {
  const asked = query.get('n')
  if (asked !== null && !/^\d{1,9}$/.test(asked)) throw fault('UNSUPPORTED', `n=${asked.slice(0, 50)} is not a number`)
  const n = Math.min(Number(asked ?? MOST_TAGS), MOST_TAGS)
  const last = query.get('last') ?? undefined
  const found = await tags.names(name, last, n + 1)
  if (found.length === 0 && last === undefined && (await manifests.isEmpty(name)))
    throw fault('NAME_UNKNOWN', `there is no repository ${name}`)
  const page = found.slice(0, n)
  const more = found.length > n && n > 0
  const next = `/v2/${name}/tags/list?n=${n}&last=${encodeURIComponent(page.at(-1) ?? '')}`
  sendJson(response, { name, tags: page }, 'application/json', more ? { link: `<${next}>; rel="next"` } : {})
}

async function listReferrers({ manifests }: ImageStore, { response, name, last, query }: Exchange): Promise<void> {
  const subject = await digestIn(last)
  const after = query.get('last')
  const wanted = query.get('artifactType')
  const { items, next } = await manifests.referrers(name, subject, after === null ? undefined : await digestIn(after))
  const filter = wanted === null ? '' : `&artifactType=${encodeURIComponent(wanted)}`
  const index = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: items.filter(({ artifactType }) => wanted === null || artifactType === wanted),
  }
  sendJson(response, index, OCI_INDEX, {
    ...(wanted !== null && { 'oci-filters-applied': 'artifactType' }),
    ...(next !== undefined && { link: `</v2/${name}/referrers/${subject}?last=${next}${filter}>; rel="next"` }),
  })
}

function sendJson(response: ServerResponse, value: object, type: string, headers: Record<string, string>): void {
  if (response.destroyed) throw new ShadowError('client-gone', 'the client left before its answer')
  response.writeHead(200, { 'content-type': type, ...headers })
  response.end(JSON.stringify(value))
}
