import { createServer, type Server } from 'node:http'
import type { Log } from '../log.ts'
import { door, type Handler } from './server.ts'

/** A server for a forwarder (see forward.ts): requests, `Expect: 100-continue` and upgrades all come to the one handler, untouched. */
export function strictServer(handler: Handler, options: { log: Log }): Server {
  return createServer(door(handler, options))
}
