import { ShadowError } from '../../errors.ts'
import type { RequestHandler } from '../exchange.ts'
import { mayArrive } from './connection-certificate.ts'

/** Handles the requests that may arrive on their connection, and refuses the others as misdirected (RFC 9110, 15.5.20). */
export const refuseMisdirected =
  (handler: RequestHandler): RequestHandler =>
  exchange => {
    if (!exchange.secure || mayArrive(exchange.host, exchange.connection)) return handler(exchange)
    throw new ShadowError('misdirected', `the connection is for another host than ${exchange.host}`)
  }
