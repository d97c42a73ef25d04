import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { listen } from '../lib/http/api/request-handler.ts'
import type { StoragePlace } from '../master/storage/place.ts'

type Manners = {
  /** Conditions that it ignores silently, as some stores do. */
  ignores?: readonly ('if-none-match' | 'if-match')[]
}

type SmallS3 = AsyncDisposable & {
  readonly place: StoragePlace
  /** The next `count` writes take effect, but their answers are lost. */
  loseAnswers(count: number): void
  /** The next `count` writes are refused with 409, as AWS does when two writes come at once. */
  conflicts(count: number): void
}

/** The part of S3 that our driver uses, in memory, with the faults that real stores show only rarely. */
export async function smallS3({ ignores = [] }: Manners = {}): Promise<SmallS3> {
  const objects = new Map<string, Buffer>()
  let lost = 0
  let conflicting = 0

  const put = async (key: string, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request)
    const heeded = (name: 'if-none-match' | 'if-match') => (ignores.includes(name) ? undefined : request.headers[name])
    const now = objects.get(key)
    if (conflicting-- > 0) return refuse(response, 409, 'ConditionalRequestConflict')
    if (heeded('if-none-match') === '*' && now !== undefined) return refuse(response, 412, 'PreconditionFailed')
    const etag = heeded('if-match')
    if (etag !== undefined && now === undefined) return refuse(response, 404, 'NoSuchKey')
    if (etag !== undefined && now !== undefined && etag !== etagOf(now))
      return refuse(response, 412, 'PreconditionFailed')
    objects.set(key, body)
    if (lost-- > 0) request.socket.destroy()
    else response.setHeader('etag', etagOf(body)).end()
  }

  const server = createServer((request, response) => {
    const key = new URL(request.url ?? '/', 'http://s3').pathname.slice(1)
    const now = objects.get(key)
    if (!key.includes('/')) response.end()
    else if (request.method === 'PUT') void put(key, request, response)
    else if (request.method === 'DELETE') {
      objects.delete(key)
      response.writeHead(204).end()
    } else if (now === undefined) refuse(response, 404, 'NoSuchKey')
    else response.setHeader('etag', etagOf(now)).end(now)
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  return {
    place: {
      kind: 's3',
      endpoint: `http://${listening.address}`,
      bucket: 'small',
      region: 'us-east-1',
      credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    },
    loseAnswers(count) {
      lost = count
    },
    conflicts(count) {
      conflicting = count
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

const etagOf = (body: Buffer): string => `"${createHash('md5').update(body).digest('hex')}"`

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' })
  response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`)
}
