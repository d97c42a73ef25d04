import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { HOP_APP, HOP_KEY } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Journey } from '../lib/http/exchange.ts'
import type { Traffic } from './traffic.ts'

type Parts = {
  readonly key: string
  readonly traffic: Traffic
  /** Serves a call of the API; `refuse` throws unless the caller may make calls that are not for anyone. */
  readonly control: (refuse: (request: IncomingMessage) => void) => Journey
}

/** The node's one door: requests for apps, told by their header, and calls of its API. Both want the node's key. */
export function nodeDoor({ key, traffic, control }: Parts): Journey {
  const isKey = keyCheck(key)
  const refuse = ({ headers: { authorization = '' } }: IncomingMessage): void => {
    if (!isKey(authorization.replace(/^bearer +/i, '')))
      throw new ShadowError('unauthorised', 'this call wants the key of the node: Authorization: Bearer KEY')
  }
  const call = control(refuse)
  return exchange => {
    const app = exchange.header(HOP_APP)
    if (app === undefined) return call(exchange)
    if (!isKey(exchange.header(HOP_KEY) ?? ''))
      throw new ShadowError('unauthorised', 'only a front that knows the key of this node may send requests for apps')
    return traffic(app, exchange)
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
