import { ANSWERED_HEADER, STATE_HEADER } from '../../api/paths.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Exchange, OwnAnswer } from '../../lib/http/exchange.ts'
import type { CopiedAnswer, NextHop } from '../../lib/http/next-hop.ts'
import { hostOf } from '../../model/hostname.ts'
import type { Route } from '../../model/route.ts'
import { USUAL_ANSWERS } from '../../model/wake-rules.ts'
import type { AnswerKey, AnswerStore, KeptAnswer } from './answer-store.ts'

const MOST_BYTES = 65_536
const MOST_HEADER_BYTES = 4_096
const KEPT_FOR_MS = 7 * 86_400_000
/** An answer that does not change is written again after this time, so that its age stays true. */
const WRITTEN_AGAIN_AFTER_MS = 60_000

/** What is kept of a head. Other headers may be meant for the one visitor who asked. */
const KEPT_HEADERS: readonly string[] = [
  'content-type',
  'content-language',
  'content-security-policy',
  'cache-control',
  'etag',
  'last-modified',
  'x-content-type-options',
]
/** A request with one of these may get another answer than everybody else. */
const PERSONAL: readonly string[] = [
  'cookie',
  'authorization',
  'range',
  'if-none-match',
  'if-modified-since',
  'if-range',
]
// RFC 9111, 5.2.2: shared caches may not give such an answer, or not without asking the app.
const NOT_SHARED = /(^|[\s,])(private|no-store|no-cache|must-revalidate|proxy-revalidate)($|[\s,=])/i

type Parts = { readonly store: AnswerStore; readonly clock: Clock }

/** The last answers that apps gave for a few paths, which robots ask for by themselves: they are given while the app sleeps. */
export class KeptAnswers {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** What the request is to the app's kept answers; undefined if its answer is not one that is kept. */
  of(app: Route, exchange: Exchange): KeptAnswerRequest | undefined {
    const path = pathOf(app, exchange)
    const hostname = path === undefined ? undefined : hostOf(exchange.host)
    if (path === undefined || hostname === undefined) return undefined
    const version = `${app.createdAt} ${app.revision}`
    return new KeptAnswerRequest({ app: app.name, version, hostname, path }, exchange, this.#parts)
  }
}

function pathOf({ wake }: Route, exchange: Exchange): string | undefined {
  const { method } = exchange
  if (method !== 'GET' && method !== 'HEAD') return undefined
  for (const path of USUAL_ANSWERS) if (exchange.isFor(path)) return path
  for (const path of wake?.answers ?? []) if (exchange.isFor(path)) return path
  return undefined
}

/** A request for a path whose last answer is kept. */
export class KeptAnswerRequest {
  readonly #key: AnswerKey
  readonly #exchange: Exchange
  readonly #parts: Parts
  readonly #kept: KeptAnswer | undefined

  constructor(key: AnswerKey, exchange: Exchange, parts: Parts) {
    this.#key = key
    this.#exchange = exchange
    this.#parts = parts
    const kept = parts.store.get(key)
    const age = kept === undefined ? 0 : parts.clock.wall() - kept.at
    this.#kept = age < KEPT_FOR_MS ? kept : undefined
  }

  /** In words for the owner. */
  get says(): string {
    return `kept answer ${this.#key.path}`
  }

  get isKept(): boolean {
    return this.#kept !== undefined
  }

  /** The kept answer, for the state of an app that is not awake. It says that it is one, and how old it is (`Age`, RFC 9111, 5.1). */
  answer(state: 'asleep' | 'waking'): OwnAnswer | undefined {
    if (this.#kept === undefined) return undefined
    const { headers, body, at } = this.#kept
    const age = Math.max(0, Math.floor((this.#parts.clock.wall() - at) / 1_000))
    const ours = { [STATE_HEADER]: state, [ANSWERED_HEADER]: new Date(at).toISOString(), age: String(age) }
    return { status: 200, headers: { ...headers, ...ours }, body }
  }

  /** Keeps the answer that the app gives now, if everybody would get the same; undefined if this request may get one of its own. */
  get copy(): NextHop['copy'] {
    const { method } = this.#exchange
    if (method !== 'GET' || this.#exchange.hasBody) return undefined
    if (PERSONAL.some(name => this.#exchange.header(name) !== undefined)) return undefined
    return { mostBytes: MOST_BYTES, wants: isShared, taken: answer => this.#keep(answer) }
  }

  #keep({ fields, body }: CopiedAnswer): void {
    const at = this.#parts.clock.wall()
    const headers = Object.fromEntries(fields.filter(([name]) => KEPT_HEADERS.includes(name)))
    const kept = this.#kept
    const text = JSON.stringify(headers)
    const isSame = kept?.body.equals(body) === true && JSON.stringify(kept.headers) === text
    if (isSame && at - (kept?.at ?? 0) < WRITTEN_AGAIN_AFTER_MS) return
    if (text.length <= MOST_HEADER_BYTES) this.#parts.store.set(this.#key, { headers, body, at })
  }
}

/** Whether everybody gets this answer to such a request. */
function isShared({ status, fields }: Omit<CopiedAnswer, 'body'>): boolean {
  if (status !== 200) return false
  return fields.every(([name, value]) => {
    switch (name) {
      case 'set-cookie':
      case 'content-encoding':
      case 'content-range':
        return false
      case 'cache-control':
        return !NOT_SHARED.test(value)
      case 'vary':
        return value.split(',').every(one => one.trim().toLowerCase() === 'accept-encoding')
      default:
        return true
    }
  })
}
