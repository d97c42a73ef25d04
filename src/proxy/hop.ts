import { ERROR_HEADER, HOP_CLIENT, HOP_EXPECT } from '../api/paths.ts'
import { type HttpHoldRequest, OURS, servedBy } from '../api/traffic.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import type { Hop } from '../lib/http/upstream-target.ts'
import type { Node } from '../model/app.ts'
import type { Held } from '../model/instance.ts'

type Way = {
  readonly exchange: Exchange
  readonly held: Held
  readonly node: Node
  /** Whether the peer is a proxy whose word is taken for who the client is. */
  readonly isProxy: boolean
  readonly holdRequest: HttpHoldRequest
  /** Who the client is, where the peer is such a proxy. */
  readonly client: string | undefined
  /** `Strict-Transport-Security` for its answer. */
  readonly hsts: string | undefined
  readonly answerWithinMs: number | undefined
}

/** How a request goes from the front to the node, or at once to the app where that is here. */
export function hopOf({ exchange, held, node, isProxy, holdRequest, client, hsts, answerWithinMs }: Way): Hop {
  // Until the node goes on, the body stays with the client; so a node that refuses costs nothing but a second try.
  const asks =
    held.isHop === true && exchange.hasBody && holdRequest.kind === 'request' && exchange.header('expect') === undefined
  const told = held.isHop === true && client !== undefined ? { [HOP_CLIENT]: client } : undefined
  return {
    address: held.address,
    upstream: held.run,
    alive: held.alive,
    strip: OURS,
    forwarded: isProxy ? 'append' : 'replace',
    expect: asks ? 'ask' : 'pass',
    requestHeaders: asks || told ? { ...held.headers, ...told, ...(asks && { [HOP_EXPECT]: 'hop' }) } : held.headers,
    hsts,
    // Behind a node the wait may be for a wake: there the node, which knows, heeds the limit.
    answerWithinMs: held.isHop ? undefined : answerWithinMs,
    responseHeaders: servedBy(node.name, held.waited),
    refusal: held.isHop ? isOurs : undefined,
  }
}

const isOurs: Hop['refusal'] = headers => headers[ERROR_HEADER] !== undefined
