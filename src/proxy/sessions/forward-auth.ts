import { type IncomingMessage, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { tokenHash } from '../../api/session-token.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Exchange, OwnAnswer } from '../../lib/http/exchange.ts'
import { AUTH_ANSWERS_WITHIN, AUTH_COUNTS_FOR } from '../../model/intervals.ts'
import { withoutOurs } from './shown-tokens.ts'
import type { Visitor } from './visit.ts'

/** The visitor of a request. */
export type AskedFrom = { readonly client: string | undefined; readonly secure: boolean }
/** What the URL says of a visitor: who it is, or the answer to give instead. */
export type Verdict = { readonly visitor: Visitor } | { readonly answer: OwnAnswer }

type Kept = { readonly verdict: Promise<Verdict>; readonly until: number }

const MOST_KEPT = 10_000
const MOST_BYTES = 65_536
/** What of a visitor's headers the URL needs to tell who it is, and to answer in a fitting form. */
const PASSED_ON: readonly string[] = ['authorization', 'accept', 'user-agent']
/** What of an answer goes to the visitor. */
const PASSED_BACK: readonly string[] = ['content-type', 'location', 'www-authenticate', 'cache-control', 'retry-after']

/**
 * Asks the URL of a template about visitors without a token, as Traefik's ForwardAuth and Caddy's forward_auth do. A consent counts for some
 * seconds for the same cookies and authorization from the same address, so that the parts of one page do not each ask.
 */
export class ForwardAuth {
  readonly #clock: Clock
  readonly #kept = new Map<string, Kept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Fails with `auth-unreachable`. */
  async ask(url: string, exchange: Exchange, from: AskedFrom): Promise<Verdict> {
    const headers = headersFor(exchange, from)
    const { Cookie, authorization } = headers
    if (Cookie === undefined && authorization === undefined) return ask(url, headers, exchange.signal)
    const asked = [url, headers['X-Forwarded-Host'], headers['X-Forwarded-For'], Cookie, authorization]
    const key = tokenHash(JSON.stringify(asked)).toString('base64')
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.until > this.#clock.now()) {
      const verdict = await kept.verdict
      // Any other answer may be about the one path that was asked for.
      if ('visitor' in verdict) return verdict
    }
    // Others may wait for this answer, so it does not end with this visitor.
    const verdict = ask(url, headers, AbortSignal.timeout(AUTH_ANSWERS_WITHIN))
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear()
    const now: Kept = { verdict, until: this.#clock.now() + AUTH_COUNTS_FOR }
    this.#kept.set(key, now)
    const forget = (): void => void (this.#kept.get(key) === now && this.#kept.delete(key))
    verdict.then(said => 'answer' in said && forget(), forget)
    return verdict
  }
}

function headersFor(exchange: Exchange, { client, secure }: AskedFrom): Record<string, string> {
  const cookies = exchange.list('cookie')
  const cookie = cookies === undefined ? undefined : (withoutOurs(cookies) ?? cookies)
  const passed = PASSED_ON.flatMap(name => {
    const value = exchange.list(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(passed),
    ...(cookie !== undefined && cookie !== '' && { Cookie: cookie }),
    'X-Forwarded-Method': exchange.method,
    'X-Forwarded-Proto': secure ? 'https' : 'http',
    'X-Forwarded-Host': exchange.host ?? '',
    'X-Forwarded-Uri': exchange.target,
    'X-Forwarded-For': client ?? exchange.clientAddress,
  }
}

async function ask(url: string, headers: Record<string, string>, gone: AbortSignal): Promise<Verdict> {
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

const sent = (url: string, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> =>
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
