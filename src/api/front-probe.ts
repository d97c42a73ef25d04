import { request } from 'node:http'
import { systemCode } from '../lib/errors.ts'
import { ERROR_HEADER, WAKE_HEADER } from './paths.ts'

const ANSWERED_WITHIN_MS = 5_000
/** To HTTPS, where the app asks for that. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 308])
const LOOPED = Array.from({ length: 10 }, () => '1.1 shadow').join(', ')

type Options = {
  readonly signal: AbortSignal
  readonly agent: string
  /** Left out: where the hostname leads. */
  readonly address?: string
  readonly port?: number
}

/** Whether a front of Shadow answers for a hostname; without an answer, why. The request wakes nothing. */
export function isFront(hostname: string, { signal, agent, address, port = 80 }: Options): Promise<boolean | string> {
  return new Promise(resolve => {
    const asked = request({
      host: address ?? hostname,
      port,
      method: 'HEAD',
      path: '/',
      // A front refuses what has passed it so often, before it looks at the app: an answer of an app would not tell whose front it is.
      headers: { host: hostname, via: LOOPED, [WAKE_HEADER]: 'never', 'user-agent': agent },
      agent: false,
      signal,
      timeout: ANSWERED_WITHIN_MS,
    })
    asked
      .on('response', ({ headers, statusCode }) => {
        asked.destroy()
        resolve(
          headers[ERROR_HEADER] !== undefined ||
            (REDIRECTS.has(statusCode ?? 0) && headers.location?.startsWith(`https://${hostname}/`) === true),
        )
      })
      .on('timeout', () => asked.destroy(new Error('no answer')))
      .on('error', error => resolve(systemCode(error) ?? error.message))
      .end()
  })
}
