import { timingSafeEqual } from 'node:crypto'
import type { Role } from '../api/call-shape.ts'
import { HOP_INSTANCE, HOP_KEY } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import type { RequestHandler, StreamedRequest } from '../lib/http/exchange.ts'
import type { InstanceHandler } from './instance-request.ts'
import type { NodeKeys } from './node-keys.ts'

type Parts = {
  /** Fronts show this one. */
  readonly key: string
  readonly traffic: InstanceHandler
  /** Serves calls of the API, which check their caller themselves: see `callerCheck`. */
  readonly call: RequestHandler
}

/** The node's request handler: requests for apps, which have a header of their own and need the key for traffic, and calls of the API. */
export function nodeHandler({ key, traffic, call }: Parts): RequestHandler {
  const isKey = keyCheck(key)
  return exchange => {
    const instance = exchange.header(HOP_INSTANCE)
    if (instance === undefined) return call(exchange)
    if (!isKey(exchange.header(HOP_KEY) ?? ''))
      throw new ShadowError('unauthorised', 'only a front that knows the key of this node may send requests for apps')
    return traffic(instance, exchange)
  }
}

/** Throws unless the caller may make a call that these roles may make: masters show the key for control, fronts the one for traffic. */
export type CallerCheck = (request: Pick<StreamedRequest, 'headers'>, may: readonly Role[]) => void

export function callerCheck({ traffic, control }: NodeKeys): CallerCheck {
  const isControl = keyCheck(control)
  const isTraffic = keyCheck(traffic)
  return ({ headers: { authorization = '' } }, may) => {
    const shown = String(authorization).replace(/^bearer +/i, '')
    if (isControl(shown) || (may.includes('proxy') && isTraffic(shown))) return
    if (isTraffic(shown))
      throw new ShadowError('forbidden', 'this call wants the key for control, which only masters have')
    throw new ShadowError('unauthorised', 'this call wants a key of the node: Authorization: Bearer KEY')
  }
}

/** Tells nothing of the key by the time it takes, but its length. */
function keyCheck(key: string): (shown: string) => boolean {
  const right = Buffer.from(key)
  return shown => {
    const bytes = Buffer.from(shown)
    return bytes.length === right.length && timingSafeEqual(bytes, right)
  }
}
