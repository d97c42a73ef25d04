import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { isFailure } from '../lib/errors.ts'
import type { Answer } from '../lib/http/api/call.ts'

/** Streams the answer of a node to the caller. */
export async function passOn(
  answer: Answer,
  response: ServerResponse,
  type: string,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(answer.status, { 'content-type': type, 'cache-control': 'no-store' })
  response.flushHeaders()
  await pipeline(answer.body, response, { signal })
}

/** Resolves if the node does not know what was to be removed: then it is gone already. */
export async function gone(asked: Promise<unknown>): Promise<void> {
  try {
    await asked
  } catch (error) {
    if (!isFailure(error, 'app-not-found', 'not-found')) throw error
  }
}
