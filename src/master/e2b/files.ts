import type { IncomingMessage, ServerResponse } from 'node:http'
import { posix } from 'node:path'
import { createGunzip } from 'node:zlib'
import { drained } from '../../lib/drained.ts'
import { reply } from '../../lib/http/api/request-handler.ts'
import { AT, EXIT, NO, type Open, runScript, withoutShell } from './container.ts'
import { fault, notOffered } from './faults.ts'
import { formFiles } from './multipart.ts'
import { containerPath } from './paths.ts'

const MOST_FILES = 1_000
const MOST_UPLOAD_BYTES = 16 * 2 ** 30

const READ = `${NO}${AT}at "$1"
[ -e "$p" ] || no ${EXIT.notFound} "$p: no such file"
[ ! -d "$p" ] || no ${EXIT.isFolder} "$p: is a folder"
[ -r "$p" ] || no ${EXIT.noAccess} "$p: permission denied"
exec cat -- "$p"`
const WRITE = `${NO}${AT}at "$1"
[ ! -d "$p" ] || no ${EXIT.isFolder} "$p: is a folder"
mkdir -p -- "\${p%/*}/" && cat > "$p" && printf '%s' "$p"`

export type FileCall = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
  readonly open: Open
  readonly signal: AbortSignal
}
const userOf = (query: URLSearchParams): string | undefined => query.get('username') || undefined

/** Sends a file of the container, as its user may read it. */
export async function sendFile({ response, query, open, signal }: FileCall): Promise<void> {
  const path = containerPath(query.get('path'))
  const begin = (): void => {
    if (response.headersSent) return
    const name = encodeURIComponent(posix.basename(path))
    const headers = { 'content-disposition': `inline; filename*=UTF-8''${name}`, 'cache-control': 'no-store' }
    // What a stranger has written is not shown as a page of ours.
    response.writeHead(200, {
      ...headers,
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
    })
  }
  const output = async (bytes: Uint8Array): Promise<void> => {
    begin()
    if (!response.write(Buffer.from(bytes))) await drained(response)
  }
  await runScript(open, READ, [path], { user: userOf(query), output }, signal).catch(withoutShell)
  if (!response.headersSent) response.setHeader('content-length', 0)
  begin()
  response.end()
}

/** Writes the files of a form, or the one that is the body, as the user. Folders that are missing are made. */
export async function takeFiles({ request, response, query, open, signal }: FileCall): Promise<void> {
  const { 'content-type': type = '', 'content-encoding': coding } = request.headers
  if (Object.keys(request.headers).some(name => name.startsWith('x-metadata-'))) throw notOffered('metadata of files')
  if (coding !== undefined && coding !== 'gzip' && coding !== 'identity')
    throw fault('invalid_argument', `the body is packed by ${coding.slice(0, 40)}; gzip is taken`)
  const raw = request.iterator({ destroyOnReturn: false })
  const body = bounded(coding === 'gzip' ? unpacked(raw) : raw)
  const write = async (to: string, input: AsyncIterable<Uint8Array>) => {
    const said = await runScript(open, WRITE, [containerPath(to)], { user: userOf(query), input }, signal).catch(
      withoutShell,
    )
    const path = posix.normalize(said.toString())
    return { name: posix.basename(path), type: 'file', path }
  }
  const written: object[] = []
  const path = query.get('path') || undefined
  if (/^multipart\/form-data\b/i.test(type))
    for await (const { name, bytes } of formFiles(type, body)) {
      if (written.length >= MOST_FILES) throw fault('resource_exhausted', `a call takes ${MOST_FILES} files`)
      written.push(await write(path ?? name, bytes))
    }
  else written.push(await write(path ?? '', body))
  if (written.length === 0) throw fault('invalid_argument', 'the form has no file')
  reply(response, 200, written)
}

async function* bounded(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > MOST_UPLOAD_BYTES)
      throw fault('resource_exhausted', `more than ${MOST_UPLOAD_BYTES} bytes are not taken`)
    yield piece
  }
}

async function* unpacked(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip()
  const feed = async (): Promise<void> => {
    for await (const piece of body) if (!gunzip.write(piece)) await drained(gunzip)
    gunzip.end()
  }
  feed().catch(error => gunzip.destroy(error as Error))
  try {
    for await (const piece of gunzip) yield piece as Buffer
  } catch (cause) {
    throw fault('invalid_argument', `the body is not packed by gzip: ${(cause as Error).message}`)
  }
}
