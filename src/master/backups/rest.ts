import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { GRANT_HEADER } from '../../api/backup-paths.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Sha256 } from '../../model/digest.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { Call, Handlers } from '../call.ts'
import { rangeOf } from '../range.ts'
import type { FileType, RepositoryFile, RepositoryFiles } from './repository-files.ts'
import type { BackupRuns } from './runs.ts'

/** restic makes packs of 16 MiB, and an index of at most some MiB. */
const MOST_BYTES = 256 * 2 ** 20
const V2 = 'application/vnd.x.restic.rest.v2'
const V1 = 'application/vnd.x.restic.rest.v1'

type Does = 'read' | 'add' | 'remove'
type Params = { readonly volume: VolumeId; readonly type?: FileType; readonly name?: Sha256 }
type Input = { readonly params: Params }
type Handler = (input: Input, call: Call) => Promise<void>
type Names = Extract<keyof Handlers, `${string}Repository${string}`>

/**
 * The REST protocol of restic, version 2. Nodes add files and remove none but locks; a run that prunes removes the others too. An admin reads,
 * and may lock: to restore by restic alone.
 */
export function repositoryHandlers({ files, runs }: { files: RepositoryFiles; runs: BackupRuns }) {
  const must = async (does: Does, { volume, type }: Params, { caller, request }: Call): Promise<void> => {
    if (caller === undefined) throw new ShadowError('internal', 'a call about repositories is open to anyone')
    const isLock = type === 'locks'
    if (caller.role === 'admin') {
      if (does === 'read' || isLock) return
      throw new ShadowError(
        'forbidden',
        `an admin reads the backups of ${volume}, and changes them by the commands of Shadow`,
        {
          hint: `shadow backup ${volume}, shadow backup rm ${volume} ID; for restic, --no-lock`,
        },
      )
    }
    const kind = await runs.mustBeGoing(volume, caller, request.headers[GRANT_HEADER]?.toString())
    if (does === 'read' || isLock) return
    if (kind === 'prune' || (kind === 'backup' && does === 'add')) return
    throw new ShadowError('forbidden', `the backups of ${volume} are only read for a ${kind}, or added to for a backup`)
  }

  const mustHave = async (file: RepositoryFile): Promise<number> => {
    const size = await files.size(file)
    if (size === undefined) throw noFile(file)
    return size
  }

  const head: Handler = async ({ params }, call) => {
    await must('read', params, call)
    call.response.writeHead(200, headersOf(await mustHave(fileOf(params))))
  }

  const get: Handler = async ({ params }, call) => {
    await must('read', params, call)
    const file = fileOf(params)
    const size = await mustHave(file)
    const range = rangeOf(call.request.headers.range, size)
    const content = await files.get(file, range, call.signal)
    if (content === undefined) throw noFile(file)
    const { first, last } = range ?? { first: 0, last: size - 1 }
    call.response.writeHead(range === undefined ? 200 : 206, {
      ...headersOf(last - first + 1),
      ...(range !== undefined && { 'content-range': `bytes ${first}-${last}/${size}` }),
    })
    await pipeline(content, call.response, { end: false })
  }

  const put: Handler = async ({ params }, call) => {
    await must('add', params, call)
    const { request, response, signal } = call
    const bytes = lengthOf(request)
    // A refusal must still reach the client, so a reader that stops early must not destroy the request.
    await files.put(fileOf(params), bytes, request.iterator({ destroyOnReturn: false }), signal)
    ok(response)
  }

  return {
    // restic's server makes folders here; ours needs none.
    createRepository: async ({ params }, call) => {
      await must('add', params, call)
      ok(call.response)
    },
    headRepositoryConfig: head,
    getRepositoryConfig: get,
    putRepositoryConfig: put,
    headRepositoryFile: head,
    getRepositoryFile: get,
    putRepositoryFile: put,
    removeRepositoryFile: async ({ params }, call) => {
      await must('remove', params, call)
      await files.remove(fileOf(params))
      ok(call.response)
    },
    async listRepositoryFiles({ params }, call) {
      await must('read', params, call)
      const { request, response } = call
      const isV2 = (request.headers.accept ?? '').includes(V2)
      response.setHeader('content-type', isV2 ? V2 : V1)
      await pipeline(listed(files.list(params.volume, params.type as FileType), isV2), response, { end: false })
    },
  } satisfies Record<Names, Handler>
}

/** A JSON array of the files, as it comes: repositories may have many. */
async function* listed(
  files: AsyncIterable<{ readonly name: Sha256; readonly bytes: number }>,
  isV2: boolean,
): AsyncGenerator<string> {
  let before = '['
  for await (const { name, bytes } of files) {
    yield `${before}${JSON.stringify(isV2 ? { name, size: bytes } : name)}`
    before = ',\n'
  }
  yield before === '[' ? '[]' : ']'
}

const fileOf = ({ volume, type, name }: Params): RepositoryFile =>
  type === undefined || name === undefined ? { volume, type: 'config' } : { volume, type, name }

function lengthOf({ headers }: IncomingMessage): number {
  const bytes = Number(headers['content-length'] ?? Number.NaN)
  if (!Number.isSafeInteger(bytes))
    throw new ShadowError('bad-input', 'a file of a repository comes with a Content-Length')
  if (bytes > MOST_BYTES)
    throw new ShadowError('too-large', `a file of a repository has ${sayBytes(MOST_BYTES)} at most`, {
      hint: 'restic with --pack-size of 128 MiB or less',
    })
  return bytes
}

const headersOf = (bytes: number) => ({
  'content-type': 'application/octet-stream',
  'content-length': bytes,
  'accept-ranges': 'bytes',
  'cache-control': 'no-store',
})

// restic takes 200 alone for success.
const ok = (response: ServerResponse): void => void response.writeHead(200, { 'content-length': 0 })

const noFile = (file: RepositoryFile): ShadowError =>
  new ShadowError(
    'not-found',
    `the backups of ${file.volume} have no file ${file.type}${file.type === 'config' ? '' : `/${file.name}`}`,
  )
