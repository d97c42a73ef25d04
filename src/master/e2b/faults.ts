import type { IncomingMessage, ServerResponse } from 'node:http'
import { asShadowError, type FailureCode, ShadowError } from '../../lib/errors.ts'
import { problemAnswer } from '../../lib/http/problem-answer.ts'
import type { Log } from '../../lib/log.ts'

/** The error codes of the Connect protocol that we use, with the code of ours and the HTTP status that each one has. */
const CODES = {
  invalid_argument: { ours: 'bad-input', status: 400 },
  failed_precondition: { ours: 'command-not-found', status: 400 },
  unauthenticated: { ours: 'unauthorised', status: 401 },
  permission_denied: { ours: 'forbidden', status: 403 },
  not_found: { ours: 'not-found', status: 404 },
  already_exists: { ours: 'already-exists', status: 409 },
  resource_exhausted: { ours: 'too-many-sessions', status: 429 },
  unimplemented: { ours: 'not-offered', status: 501 },
  unavailable: { ours: 'app-unreachable', status: 503 },
  deadline_exceeded: { ours: 'too-slow', status: 504 },
  canceled: { ours: 'client-gone', status: 499 },
  internal: { ours: 'internal', status: 500 },
} as const satisfies Record<string, { ours: FailureCode; status: number }>
export type RpcCode = keyof typeof CODES

/** An error with a code of the Connect protocol. */
export const fault = (rpc: RpcCode, message: string, hint?: string): ShadowError =>
  new ShadowError(CODES[rpc].ours, message, { facts: { rpc }, hint })

/** What E2B has and we have not: 501, with its name. */
export const notOffered = (what: string): ShadowError =>
  new ShadowError('not-offered', `Shadow does not have ${what} of E2B`, { hint: 'docs/sandboxes.md' })

const BY_STATUS: Readonly<Record<number, RpcCode>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  408: 'deadline_exceeded',
  409: 'already_exists',
  413: 'resource_exhausted',
  429: 'resource_exhausted',
  499: 'canceled',
  501: 'unimplemented',
  502: 'unavailable',
  503: 'unavailable',
}

/** An error as the Connect protocol tells it. */
export function rpcError(thrown: unknown): { readonly code: RpcCode; readonly message: string } {
  const error = asShadowError(thrown)
  const own = error.details.facts?.['rpc'] as RpcCode | undefined
  // What broke inside is told to the log, not to a client.
  const message = error.code === 'internal' ? 'a fault of Shadow; its log has it' : saidWithHint(error)
  const isAway = error.code === 'app-asleep' || error.code === 'app-paused'
  return { code: own ?? (isAway ? 'unavailable' : undefined) ?? BY_STATUS[error.status] ?? 'internal', message }
}

export const statusOfRpc = (code: RpcCode): number => CODES[code].status

/** Answers with the error document of E2B's API: its status and a message, which has the hint too. */
export function answerFault(request: IncomingMessage, response: ServerResponse, thrown: unknown, log: Log): void {
  if (response.headersSent) {
    response.destroy() // half an answer must not look like a whole one
    return
  }
  const error = asShadowError(thrown)
  const { method = '', url: target = '' } = request
  const problem = problemAnswer(error, log, { method, target: target.replace(/signature=[^&]*/, 'signature=…') })
  const message = error.code === 'internal' ? 'a fault of Shadow; its log has it' : saidWithHint(error)
  response.writeHead(error.status, { ...problem.headers, 'content-type': 'application/json' })
  response.end(`${JSON.stringify({ code: error.status, message })}\n`)
}

const saidWithHint = ({ message, details: { hint } }: ShadowError): string =>
  hint === undefined ? message : `${message} (${hint})`
