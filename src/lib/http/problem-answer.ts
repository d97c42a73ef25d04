import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { asShadowError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { OwnAnswer } from './exchange.ts'
import { httpDate } from './wire/date.ts'

/** Turns an error into an answer with a problem document. Internal errors are logged under the id that the answer carries. */
export function problemAnswer(thrown: unknown, log: Log, of?: { method: string; target: string }): OwnAnswer {
  const error = asShadowError(thrown)
  let id: string | undefined
  if (error.code === 'internal') {
    id = randomUUID()
    log.error('request failed', { id, method: of?.method, url: of?.target, cause: error.cause ?? error })
  }
  return {
    status: error.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-shadow-error': error.code,
      ...retryAfter(error.details.retryAfterMs),
    },
    body: `${JSON.stringify(error.toProblem(id))}\n`,
  }
}

/** The header `Retry-After` for a wait in milliseconds, in whole seconds (RFC 9110, 10.2.3). */
export const retryAfter = (ms: number | undefined): Readonly<Record<string, string>> | undefined =>
  ms === undefined ? undefined : { 'retry-after': String(Math.max(1, Math.ceil(ms / 1_000))) }

/** The bytes of an answer after which the connection ends. */
export function wholeAnswer({ status, headers = {}, body = '' }: OwnAnswer): Buffer {
  const lines = Object.entries({ date: httpDate(), ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const framing = `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}${framing}${body}`)
}
