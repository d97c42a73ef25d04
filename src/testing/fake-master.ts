import { createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { masterPaths } from '../api/paths.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { listen, readJson, reply } from '../lib/http/api/request-handler.ts'

type Name = keyof typeof masterPaths
type Call = {
  readonly name: Name
  readonly params: Record<string, string>
  readonly query: Record<string, string>
  readonly body: unknown
  readonly ifMatch: string | undefined
}

/** The answer to each call. A string is sent unchanged (NDJSON); a ShadowError that is thrown is sent as its problem document. */
export type Answers = Partial<Record<Name, (call: Call) => unknown>>

/** A fake of a master's API on a real socket. It gives the answers of the test and keeps the calls. */
export async function fakeMaster(
  answers: Answers,
): Promise<AsyncDisposable & { readonly url: string; readonly calls: readonly Call[] }> {
  const calls: Call[] = []
  const server = createServer(async (request, response) => {
    try {
      if (request.headers.authorization !== `Bearer ${FAKE_TOKEN}`)
        throw new ShadowError('unauthorised', 'who are you?')
      const url = new URL(request.url ?? '/', 'http://fake')
      const { name, params } = matched(request.method ?? '', url.pathname)
      const query = Object.fromEntries(url.searchParams)
      const isBinary = request.headers['content-type'] === 'application/octet-stream'
      const body = isBinary ? await buffer(request) : await readJson(request)
      const call = { name, params, query, body, ifMatch: request.headers['if-match'] }
      calls.push(call)
      const answer = answers[name]
      if (answer === undefined) throw new ShadowError('internal', `the fake master has no answer for ${name}`)
      const value = await answer(call)
      if (typeof value === 'string') response.end(value)
      else reply(response, value === undefined ? 204 : 200, value, { etag: '"1"' })
    } catch (thrown) {
      const error = asShadowError(thrown)
      reply(response, error.status, error.toProblem())
    }
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  return {
    url: `http://${listening.address}`,
    calls,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

export const FAKE_TOKEN = 'fake-token'

function matched(method: string, path: string): { name: Name; params: Record<string, string> } {
  for (const [name, line] of Object.entries(masterPaths) as [Name, string][]) {
    const [wanted, pattern = ''] = line.split(' ')
    const match = new RegExp(`^${pattern.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`).exec(path)
    if (wanted === method && match !== null) return { name, params: { ...match.groups } }
  }
  throw new ShadowError('not-found', `no call ${method} ${path}`)
}
