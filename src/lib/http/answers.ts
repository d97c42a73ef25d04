import { randomUUID } from 'node:crypto'
import { asShadowError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { OwnAnswer } from './exchange.ts'

/** The problem document of an error as an answer, logging what is our own fault under the id that the answer carries. */
export function problemAnswer(thrown: unknown, log: Log, of?: { method: string; target: string }): OwnAnswer {
  const error = asShadowError(thrown)
  let id: string | undefined
  if (error.code === 'internal') {
    id = randomUUID()
    log.error('request failed', { id, method: of?.method, url: of?.target, cause: error.cause ?? error })
  }
  const { retryAfterMs } = error.details
  return {
    status: error.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-shadow-error': error.code,
      ...(retryAfterMs !== undefined && { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
    },
    body: `${JSON.stringify(error.toProblem(id))}\n`,
  }
}
