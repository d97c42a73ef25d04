import { type IncomingMessage, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { ShadowError } from '../lib/errors.ts'
import type { OwnAnswer } from '../lib/http/exchange.ts'
import { AUTH_ANSWERS_WITHIN } from '../model/intervals.ts'

/** What the URL of a template says of a visitor: who it is, or the answer to give instead. */
export type AuthVerdict = { readonly visitor: { readonly user?: string } } | { readonly answer: OwnAnswer }

const MOST_BYTES = 65_536
/** What of a visitor's headers the URL needs to tell who it is, and to answer in a fitting form; cookies too. */
export const PASSED_ON: readonly string[] = ['authorization', 'accept', 'user-agent']
/** What of an answer goes to the visitor. */
const PASSED_BACK: readonly string[] = ['content-type', 'location', 'www-authenticate', 'cache-control', 'retry-after']

/** Asks by `GET`. An answer from 200 to 299 admits. Fails with `auth-unreachable`. */
export async function askAuthUrl(
  url: string,
  headers: Readonly<Record<string, string>>,
  gone: AbortSignal,
): Promise<AuthVerdict> {
  const signal = AbortSignal.any([gone, AbortSignal.timeout(AUTH_ANSWERS_WITHIN)])
  try {
    const answer = await sent(url, headers, signal)
    const { statusCode = 0 } = answer
    if (statusCode >= 200 && statusCode < 300) {
      answer.resume()
      const user = answer.headers['x-verified-user']
      return { visitor: user === undefined || user === '' ? {} : { user: String(user) } }
    }
    const cookies = answer.headers['set-cookie']
    return { answer: { status: statusCode, headers: backOf(answer), cookies, body: await bodyOf(answer) } }
  } catch (cause) {
    throw new ShadowError('auth-unreachable', `${new URL(url).host} does not say whether the visitor may visit`, {
      cause,
    })
  }
}

const sent = (url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? secureRequest : request
    send(url, { headers, signal }, resolve).on('error', reject).end()
  })

function backOf({ headers }: IncomingMessage): Record<string, string> {
  const back: Record<string, string> = {}
  for (const name of PASSED_BACK) if (headers[name] !== undefined) back[name] = String(headers[name])
  return back
}

async function bodyOf(answer: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new Error(`the answer has more than ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
