import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { backupPaths, GRANT_HEADER } from '../../api/backup-paths.ts'
import type { RepositoryAccess } from '../../api/backup-schemas.ts'
import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure, type ShadowError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import { listen } from '../../lib/http/api/request-handler.ts'
import type { VolumeId } from '../../model/names.ts'

type Options = {
  readonly master: Pick<MasterClient, 'raw'>
  readonly volume: VolumeId
  readonly access: RepositoryAccess
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** A repository that restic on this machine reaches for one run. */
export type RepositoryProxy = AsyncDisposable & {
  readonly url: string
  /** The error of the master that restic could not get past; undefined if there was none. */
  readonly problem: ShadowError | undefined
}

/** For so long the masters, or their store, may be away: restic tries again, and goes on where it was. */
const PATIENT_FOR_MS = 60_000
/** A file of the repository is sent or read within this time. */
const FILE_WITHIN_MS = 300_000
const AWAY = ['master-unreachable', 'storage-unreachable', 'shutting-down', 'internal'] as const

/**
 * restic's repository on the loopback address, behind a secret that is made for this run. Each request is passed on to a master, with the
 * credential of this node and the grant of the run: restic gets neither, and the node needs no credential of the bucket.
 */
export async function repositoryProxy({ master, volume, access, clock, signal }: Options): Promise<RepositoryProxy> {
  const secret = randomBytes(24).toString('base64url')
  const wanted = Buffer.from(`Basic ${Buffer.from(`shadow:${secret}`).toString('base64')}`)
  let problem: ShadowError | undefined
  let awaySince: number | undefined

  const passOn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const shown = Buffer.from(request.headers.authorization ?? '')
    if (shown.length !== wanted.length || !timingSafeEqual(shown, wanted)) return void response.writeHead(401).end()
    const call = callOf(request)
    if (call === undefined) return void response.writeHead(404).end()
    try {
      const answer = await send(request, call)
      awaySince = undefined
      response.writeHead(answer.status, headersOf(answer))
      await pipeline(answer.body, response)
    } catch (thrown) {
      if (response.headersSent) return void response.destroy() // restic reads it again
      const error = asShadowError(thrown)
      // After a failure restic removes what it may have written in part, which a backup may not: that is not what went wrong.
      const isTold = !isFailure(error, 'not-found') && request.method !== 'DELETE'
      if (isTold) problem = request.method === 'HEAD' ? await inFull(call, error) : error
      response.writeHead(statusFor(error)).end()
    }
  }

  /** An answer to HEAD has no words. */
  const inFull = async (call: RepositoryCall, error: ShadowError): Promise<ShadowError> => {
    try {
      const { body } = await send({ headers: {} } as IncomingMessage, {
        ...call,
        name: call.name.replace('head', 'get'),
      })
      body.destroy()
      return error
    } catch (inWords) {
      return asShadowError(inWords)
    }
  }

  const send = (request: IncomingMessage, { name, params }: RepositoryCall): Promise<Answer> => {
    const { range, accept, 'content-length': length } = request.headers
    const headers = { [GRANT_HEADER]: access.grant, ...(range && { range }), ...(accept && { accept }) }
    const content = name === 'putRepositoryFile' || name === 'putRepositoryConfig'
    return master.raw(name as 'getRepositoryFile', {
      params: { ...params, volume } as never,
      headers: { ...headers, ...(content && { 'content-length': length }) },
      ...(content && { content: request.iterator({ destroyOnReturn: false }) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(FILE_WITHIN_MS)]),
    })
  }

  /** restic tries again after any status but 403 and 404; it would do so for a quarter of an hour. */
  const statusFor = (error: ShadowError): number => {
    if (isFailure(error, 'not-found')) return 404
    if (!isFailure(error, ...AWAY)) return 403
    awaySince ??= clock.now()
    return clock.now() - awaySince < PATIENT_FOR_MS && !signal.aborted ? 503 : 403
  }

  const server = createServer((request, response) => {
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    passOn(request, response).catch(() => response.destroy())
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 }, 0)
  return {
    url: `rest:http://shadow:${secret}@${listening.address}/`,
    get problem() {
      return problem
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

type RepositoryCall = { readonly name: string; readonly params: Readonly<Record<string, string>> }

/** The calls of the master below the folder of a repository. */
const CALLS = Object.entries(backupPaths).flatMap(([name, line]) => {
  const [method = '', path = ''] = line.split(' ')
  if (!path.startsWith('/v1/repositories/:volume')) return []
  const rest = path.slice('/v1/repositories/:volume'.length).replace(/:(\w+)/g, '(?<$1>[^/]+)')
  return [{ name, method, pattern: new RegExp(`^${rest}/?$`) }]
})

function callOf({ method, url = '/' }: IncomingMessage): RepositoryCall | undefined {
  const path = url.split('?', 1)[0] ?? '/'
  for (const { name, method: wanted, pattern } of CALLS) {
    const match = wanted === method ? pattern.exec(path) : null
    if (match !== null) return { name, params: { ...match.groups } }
  }
  return undefined
}

function headersOf({ headers }: Answer): Record<string, string> {
  const passed = ['content-type', 'content-length', 'content-range', 'accept-ranges'] as const
  return Object.fromEntries(passed.flatMap(name => (headers[name] === undefined ? [] : [[name, headers[name]]])))
}
