import { ShadowError } from '../../errors.ts'
import type { Journey } from '../exchange.ts'
import { mayCome } from './connection-certificate.ts'

/** Handles the requests that may arrive on their connection, and refuses the others as misdirected (RFC 9110, 15.5.20). */
export const directed =
  (journey: Journey): Journey =>
  exchange => {
    if (!exchange.secure || mayCome(exchange.host, exchange.connection)) return journey(exchange)
    throw new ShadowError('misdirected', `the connection is for another host than ${exchange.host}`)
  }
