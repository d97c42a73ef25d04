import type { IncomingMessage, ServerResponse } from 'node:http'
import { asShadowError, type FailureCode, ShadowError } from '../../lib/errors.ts'
import { problemAnswer } from '../../lib/http/problem-answer.ts'
import type { Log } from '../../lib/log.ts'

/** The error codes of the OCI distribution specification, with the status and the code of ours that each one has. */
const FAULTS = {
  BLOB_UNKNOWN: { status: 404, code: 'not-found' },
  BLOB_UPLOAD_INVALID: { status: 400, code: 'bad-input' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, code: 'not-found' },
  DIGEST_INVALID: { status: 400, code: 'bad-input' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, code: 'not-found' },
  MANIFEST_INVALID: { status: 400, code: 'bad-input' },
  MANIFEST_UNKNOWN: { status: 404, code: 'not-found' },
  NAME_INVALID: { status: 400, code: 'bad-input' },
  NAME_UNKNOWN: { status: 404, code: 'not-found' },
  /** Of a chunk that does not begin where the last one ended, and of a range that the blob does not have. */
  RANGE_INVALID: { status: 416, code: 'bad-input' },
  SIZE_INVALID: { status: 413, code: 'too-large' },
  UNAUTHORIZED: { status: 401, code: 'unauthorised' },
  DENIED: { status: 403, code: 'forbidden' },
  UNSUPPORTED: { status: 405, code: 'bad-input' },
} as const satisfies Record<string, { status: number; code: FailureCode }>

export type FaultCode = keyof typeof FAULTS

/** An error with a code of the OCI specification. */
export const fault = (oci: FaultCode, message: string, hint?: string): ShadowError =>
  new ShadowError(FAULTS[oci].code, message, { facts: { oci }, hint })

/** Runs the call; errors with this code of ours become an error with the code of the OCI specification. */
export async function asFault<T>(code: FailureCode, oci: FaultCode, call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof ShadowError) || error.code !== code || error.details.facts?.['oci'] !== undefined)
      throw error
    throw fault(oci, error.message, error.details.hint)
  }
}

/** What a client is told of an error that has no code of the specification. */
const CODES: Partial<Record<FailureCode, string>> = {
  unauthorised: 'UNAUTHORIZED',
  forbidden: 'DENIED',
  'too-large': 'SIZE_INVALID',
  'bad-input': 'UNSUPPORTED',
  'not-found': 'NAME_UNKNOWN',
}

/**
 * Answers with the error document of the OCI specification. Clients such as docker show code and message, so the message has the hint too.
 * Headers that were set before, such as `Location`, are sent with it.
 */
export function answerFault(request: IncomingMessage, response: ServerResponse, thrown: unknown, log: Log): void {
  if (response.headersSent) {
    response.destroy() // half an answer must not look like a whole one
    return
  }
  const error = asShadowError(thrown)
  const { method = '', url: target = '' } = request
  const problem = problemAnswer(error, log, { method, target })
  const oci = error.details.facts?.['oci'] as FaultCode | undefined
  const code = oci ?? CODES[error.code] ?? (error.status >= 500 ? 'UNAVAILABLE' : 'UNKNOWN')
  const { hint } = error.details
  const message = hint === undefined ? error.message : `${error.message} (${hint})`
  response.writeHead(oci === undefined ? error.status : FAULTS[oci].status, {
    ...problem.headers,
    'content-type': 'application/json',
    ...(error.code === 'unauthorised' && { 'www-authenticate': 'Basic realm="Shadow"' }),
  })
  response.end(`${JSON.stringify({ errors: [{ code, message, detail: { error: error.code } }] })}\n`)
}
