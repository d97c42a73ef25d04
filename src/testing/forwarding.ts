import type { ExchangesOptions } from '../lib/http/downstream/exchange-server.ts'
import type { Hop } from '../lib/http/upstream-target.ts'
import type { HandClock } from './clock.ts'
import { fastForwarding } from './fast-forwarding.ts'
import type { Opened } from './wire.ts'

type Forwarding = Opened & { readonly clock: HandClock; readonly outcomes: unknown[] }
type Make = (
  upstream: { readonly address: string },
  hop?: Partial<Hop>,
  options?: Partial<ExchangesOptions>,
) => Promise<Forwarding>

let make: Make = fastForwarding()

/** What is forwarded from now on is forwarded so: so one suite of tests is held by each way. */
export function through(other: Make): void {
  make = other
}

/** Something that forwards in front of one upstream, and what became of each request. */
export const forwarding: Make = (upstream, hop, options) => make(upstream, hop, options)
