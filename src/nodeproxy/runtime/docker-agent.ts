import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { inspect } from 'node:util'

type Adding = { addRequest(request: ClientRequest, ...more: readonly unknown[]): void }

/**
 * The connections to Docker's socket. docker-modem has two traps, and both are closed here, before it sees an answer:
 *
 * - It follows a redirect to whatever host the answer names, over TCP, by an inner request without a listener for errors
 *   (lib/http.js). It does so only where there is a `Location`: without one, a 3xx is an error like every other status.
 * - An answer that is cut in its body never calls back: the cut becomes an error of the request, which does.
 */
export class DockerAgent extends Agent {
  constructor() {
    super({ keepAlive: true })
  }

  /** Node calls it for each request, after the request has its own listeners. */
  addRequest(request: ClientRequest, ...more: readonly unknown[]): void {
    request.prependListener('response', (response: IncomingMessage) => {
      delete response.headers.location
      response.on('error', error => request.emit('error', error))
    })
    ;(Agent.prototype as unknown as Adding).addRequest.call(this, request, ...more)
  }

  /** docker-modem inspects its options whole at each call, though nothing reads that: all sockets of this agent would be in it. */
  [inspect.custom](): string {
    return 'DockerAgent'
  }
}
