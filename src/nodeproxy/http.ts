import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import { HOP_APP, HOP_KEY } from '../api/paths.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Handler } from '../lib/http/server.ts'
import { strictServer } from '../lib/http/strict.ts'
import type { Log } from '../lib/log.ts'
import type { Traffic } from './traffic.ts'

type Parts = {
  readonly key: string
  readonly traffic: Traffic
  readonly control: (refuse: (request: IncomingMessage) => void) => Handler
  readonly log: Log
}

/** The node's one door: requests for apps, told by their header, and calls of its API. Both want the node's key. */
export function nodeDoor({ key, traffic, control, log }: Parts): Server {
  const isKey = keyCheck(key)
  const refuse = (request: IncomingMessage): void => {
    const { authorization = '' } = request.headers
    if (!isKey(authorization.replace(/^bearer +/i, '')))
      throw new ShadowError('unauthorised', 'this call wants the key of the node: Authorization: Bearer KEY')
  }
  const call = control(refuse)
  return strictServer(
    async (request, response, signal) => {
      const app = request.headers[HOP_APP]
      if (app === undefined) return call(request, response, signal)
      if (!isKey(String(request.headers[HOP_KEY] ?? '')))
        throw new ShadowError('unauthorised', 'only a front that knows the key of this node may send requests for apps')
      return traffic(String(app), request, response, signal)
    },
    { log },
  )
}

function keyCheck(key: string): (shown: string) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const right = digest(key)
  return shown => timingSafeEqual(digest(shown), right)
}
