import { answerCounter } from '../api/answer-counts.ts'
import { OURS, servedBy } from '../api/forwarding.ts'
import type { HttpHoldRequest } from '../api/hold-request.ts'
import { ERROR_HEADER, HOP_CLIENT, HOP_EXPECT, SEEN_HEADER } from '../api/paths.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import type { Node } from '../model/app.ts'
import type { Held } from '../model/instance.ts'
import type { RequestTrace } from './request-trace.ts'
import type { Visit } from './sessions/visit.ts'

type Options = {
  readonly exchange: Exchange
  readonly held: Held
  readonly node: Node
  /** Whether the peer is a trusted proxy. */
  readonly isProxy: boolean
  readonly holdRequest: HttpHoldRequest
  /** The client as the trusted proxy names it. */
  readonly client: string | undefined
  /** `Strict-Transport-Security` for its answer. */
  readonly hsts: string | undefined
  readonly answerWithinMs: number | undefined
  /** Who gets a copy of its answer. */
  readonly copy: NextHop['copy']
  readonly trace: RequestTrace | undefined
  /** To set on its answer. */
  readonly cookie: string | undefined
  /** Set if the app is a session. */
  readonly visit: Visit | undefined
}

/** How the front forwards a request: to the node, or to the app itself if its node is in this process. */
export function hopOf(options: Options): NextHop {
  const { exchange, held, node, isProxy, holdRequest, client, hsts, answerWithinMs, copy, trace, cookie, visit } =
    options
  // The client sends the body when the node says to go on, so the front can try another node after a refusal.
  const keepsBody =
    held.isHop === true && exchange.hasBody && holdRequest.kind === 'request' && exchange.header('expect') === undefined
  const clientHeader = held.isHop === true && client !== undefined ? { [HOP_CLIENT]: client } : undefined
  // The node does it for a request that waited there.
  const joins = trace?.isFirst === true && held.waited !== undefined ? { traceparent: trace.header } : undefined
  return {
    address: held.address,
    upstream: held.run,
    otherPort: held.port,
    tls: held.tls,
    alive: held.alive,
    strip: OURS,
    forwarded: isProxy ? 'append' : 'replace',
    expect: keepsBody ? 'ask' : 'pass',
    drops: visit?.drops,
    requestHeaders:
      keepsBody || clientHeader || joins || visit
        ? { ...held.headers, ...clientHeader, ...joins, ...visit?.headers, ...(keepsBody && { [HOP_EXPECT]: 'hop' }) }
        : held.headers,
    hsts,
    copy: held.isHop && trace !== undefined ? trace.watch(copy) : copy,
    onAnswer: answerCounter(held),
    // The request may wait for a wake at the node, so the node applies the limit.
    answerWithinMs: held.isHop ? undefined : answerWithinMs,
    responseHeaders: servedBy(node.name, held.waited, cookie),
    refusal: held.isHop ? isOurs : undefined,
    seen: isSeen,
  }
}

const isSeen: NextHop['seen'] = headers => headers[SEEN_HEADER] !== undefined

const isOurs: NextHop['refusal'] = headers => headers[ERROR_HEADER] !== undefined
