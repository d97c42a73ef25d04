import { request as httpRequest } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { OrderError } from './authority.ts'

/** What the library gives to its HTTP adapter, as far as it is used here. */
type Request = {
  readonly url?: string
  readonly method?: string
  readonly headers: { toJSON(): object }
  readonly data?: unknown
}
type Response = {
  readonly status: number
  readonly statusText: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly data: string
  readonly config: Request
}

const WITHIN_MS = 30_000
const TOO_MANY = 429

/**
 * The HTTP of the ACME library. Its own adapter has no limit of time, retries for over a minute, and turns an unreachable server into a
 * TypeError. Here a server that does not answer, or answers that it cannot work now, fails with `OrderError` at once: the renewer retries.
 */
export function transport(ca: string | undefined): (request: Request) => Promise<Response> {
  const agent = new Agent({ keepAlive: true, ...(ca !== undefined && { ca }) })
  return async config => {
    const url = new URL(config.url ?? '')
    const isSecure = url.protocol === 'https:'
    const away = (why: string, cause?: unknown): OrderError =>
      new OrderError(`the authority ${url.host} does not answer: ${why}`, { isAway: true, cause })
    const options = {
      method: (config.method ?? 'get').toUpperCase(),
      headers: config.headers.toJSON() as Record<string, string>,
      signal: AbortSignal.timeout(WITHIN_MS),
    }
    const answered = Promise.withResolvers<Response>()
    const sent = isSecure ? httpsRequest(url, { ...options, agent }) : httpRequest(url, options)
    sent
      .on('response', response => {
        const { statusCode: status = 0, statusMessage: statusText = '', headers } = response
        text(response).then(
          data => {
            if (status >= 500) return answered.reject(away(`status ${status}`))
            if (status === TOO_MANY) return answered.reject(tooMany(data, headers['retry-after']))
            answered.resolve({ status, statusText, headers, data, config })
          },
          error => answered.reject(away((error as Error).message, error)),
        )
      })
      .on('error', error => answered.reject(away(whyOf(error), error)))
      .end(config.data === undefined ? undefined : String(config.data))
    return answered.promise
  }
}

function tooMany(body: string, after: string | undefined): OrderError {
  const seconds = Number(after)
  const until = Number.isNaN(seconds) ? Date.parse(after ?? '') - Date.now() : seconds * 1_000
  return new OrderError(`the authority says: ${detailOf(body) ?? 'too many requests'} (rateLimited)`, {
    ...(until > 0 && { retryAfterMs: until }),
  })
}

function detailOf(body: string): string | undefined {
  try {
    return (JSON.parse(body) as { detail?: string }).detail
  } catch {
    return undefined // some proxy answers in HTML
  }
}

/** Of several addresses that all refused, each has an error of its own, and the whole has no message. */
const whyOf = (error: Error): string => error.message || ((error as NodeJS.ErrnoException).code ?? error.name)
