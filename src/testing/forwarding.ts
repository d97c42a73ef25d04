import { Forwarder, type ForwarderOptions, type Hop } from '../lib/http/legacy/forward.ts'
import { strictServer } from '../lib/http/legacy/strict.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'
import { type Opened, open } from './wire.ts'

type Forwarding = Opened & { readonly clock: HandClock; readonly outcomes: unknown[] }
type Make = (
  upstream: { readonly address: string },
  hop?: Partial<Hop>,
  options?: Partial<ForwarderOptions>,
) => Promise<Forwarding>

let make: Make = overNodeHttp

/** What is forwarded from now on takes this path: so one suite of tests is held by each. */
export function through(other: Make): void {
  make = other
}

/** Something that forwards in front of one upstream, and what became of each request. */
export const forwarding: Make = (upstream, hop, options) => make(upstream, hop, options)

/** A forwarder in front of one upstream, and what became of each request. */
async function overNodeHttp(
  upstream: { readonly address: string },
  hop: Partial<Hop> = {},
  options: Partial<ForwarderOptions> = {},
): Promise<Forwarding> {
  const clock = new HandClock()
  const forwarder = new Forwarder({ clock, ...options })
  const outcomes: unknown[] = []
  const server = strictServer(
    async (request, response, signal) => {
      try {
        await forwarder.forward(request, response, { address: upstream.address, forwarded: 'replace', ...hop }, signal)
        outcomes.push('done')
      } catch (error) {
        outcomes.push(error)
        throw error
      }
    },
    { log: noLog, clock },
  )
  const opened = await open(server)
  return {
    ...opened,
    clock,
    outcomes,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      forwarder[Symbol.dispose]()
    },
  }
}
