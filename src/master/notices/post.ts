import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { deadline } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { VERSION } from '../../lib/version.ts'
import type { Notice } from '../../model/notice.ts'
import { signedHeaders } from './signature.ts'

/** A receiver that has not answered by then has not taken the notice. */
const ANSWERS_WITHIN_MS = 10_000
/** More of an answer is not read. */
const MOST_OF_ANSWER = 500

/** What a receiver answered. `status` undefined: there was no answer, and `says` tells why. */
export type PostAnswer = { readonly taken: boolean; readonly status: number | undefined; readonly says: string }

type Target = { readonly url: string; readonly secret: string }

/** Sends the notice once. Never fails; redirects are not followed, since the URL is the one that an admin has chosen. */
export async function postNotice(
  { url, secret }: Target,
  notice: Notice,
  { clock, signal: ending }: { clock: Clock; signal: AbortSignal },
): Promise<PostAnswer> {
  const body = JSON.stringify(notice)
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': `shadow/${VERSION}`,
    ...signedHeaders({ id: notice.id, atMs: clock.wall(), body, secret }),
  }
  using within = deadline(clock, ANSWERS_WITHIN_MS, () => new Error(`no answer within ${ANSWERS_WITHIN_MS / 1_000} s`))
  const signal = AbortSignal.any([ending, within.signal])
  try {
    const send = new URL(url).protocol === 'https:' ? httpsRequest : httpRequest
    const answer = await answered(send(url, { method: 'POST', headers, agent: false, signal }), body)
    const status = answer.statusCode ?? 0
    const taken = status >= 200 && status < 300
    const text = await beginningOf(answer).catch(() => '')
    const isRedirect = status >= 300 && status < 400
    return { taken, status, says: isRedirect ? `redirects are not followed: ${answer.headers.location ?? ''}` : text }
  } catch (cause) {
    const why = signal.aborted ? signal.reason : cause
    return { taken: false, status: undefined, says: sayFailure(why) }
  }
}

function answered(request: ClientRequest, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    // A receiver that closes the connection after its answer causes an error too: the answer counts then.
    request.on('error', reject)
    request.end(body)
  })
}

async function beginningOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    text += chunk
    if (text.length >= MOST_OF_ANSWER) break // which closes the connection
  }
  return text.slice(0, MOST_OF_ANSWER)
}

function sayFailure(why: unknown): string {
  if (!(why instanceof Error)) return String(why)
  // Where a hostname has several addresses, the error is of all of them and has no message.
  const { code } = why as NodeJS.ErrnoException
  return (why.message || code || why.name).slice(0, MOST_OF_ANSWER)
}
