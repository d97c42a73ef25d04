import { request, STATUS_CODES } from 'node:http'
import { endpoint } from '../lib/http/endpoint.ts'

const ANSWER_WITHIN_MS = 10_000

/** How an app is asked: in the way that visitors ask it. */
export type Probe = {
  /** `ip:port` */
  readonly address: string
  readonly path: string
  /** A hostname of the app, since apps may refuse other values of `Host`. Undefined if it has none: then the address is used. */
  readonly hostname: string | undefined
  readonly proto: 'http' | 'https'
}

/** `said`: a text on an answer that is not good; undefined if there was no answer. */
export type Probed = {
  readonly isGood: boolean
  readonly isHttp: boolean
  readonly said: string | undefined
  readonly status?: number | undefined
}

/** Sends one request for the path to the app. A status from 200 to 399 is good. */
export function probe({ address, path, hostname, proto }: Probe, signal: AbortSignal): Promise<Probed> {
  const headers = {
    'user-agent': 'shadow',
    'x-forwarded-proto': proto,
    ...(hostname !== undefined && { host: hostname, 'x-forwarded-host': hostname }),
  }
  return new Promise(resolve => {
    const asked = request({ ...endpoint(address), path, headers, agent: false, signal, timeout: ANSWER_WITHIN_MS })
    asked
      .on('response', response => {
        response.destroy()
        const status = response.statusCode ?? 0
        const reason = response.statusMessage || STATUS_CODES[status] || ''
        resolve({ isGood: status >= 200 && status < 400, isHttp: true, said: `${status} ${reason}`.trim(), status })
      })
      .on('error', error =>
        resolve({
          isGood: false,
          isHttp: false,
          said: isParserError(error) ? `no HTTP: ${error.message}` : undefined,
        }),
      )
      .on('timeout', () => asked.destroy())
      .end()
  })
}

const isParserError = (error: Error): boolean => 'code' in error && String(error.code).startsWith('HPE_')
