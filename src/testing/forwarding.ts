import type { ExchangeServerOptions } from '../lib/http/downstream/exchange-server.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import type { HandClock } from './clock.ts'
import { fastForwarding } from './fast-forwarding.ts'
import type { Opened } from './wire.ts'

type Forwarding = Opened & { readonly clock: HandClock; readonly outcomes: unknown[] }
type Make = (
  upstream: { readonly address: string },
  hop?: Partial<NextHop>,
  options?: Partial<ExchangeServerOptions>,
) => Promise<Forwarding>

let make: Make = fastForwarding()

/** From now on `forwarding` uses this maker, so that one suite of tests runs on several forwarders. */
export function through(other: Make): void {
  make = other
}

/** A forwarder in front of one upstream, and what became of each request. */
export const forwarding: Make = (upstream, hop, options) => make(upstream, hop, options)
