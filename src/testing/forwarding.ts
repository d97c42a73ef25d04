import { Forwarder, type ForwarderOptions, type Hop } from '../lib/http/forward.ts'
import { strictServer } from '../lib/http/strict.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'
import { type Opened, open } from './wire.ts'

/** A forwarder in front of one upstream, and what became of each request. */
export async function forwarding(
  upstream: { readonly address: string },
  hop: Partial<Hop> = {},
  options: Partial<ForwarderOptions> = {},
): Promise<Opened & { readonly clock: HandClock; readonly outcomes: unknown[] }> {
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
    { log: noLog },
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
