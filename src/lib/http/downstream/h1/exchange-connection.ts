import type { OwnAnswer } from '../../exchange.ts'
import type { OutputBuffer } from '../../sockets/buffers.ts'
import type { Tunnel } from '../../upgrade/tunnel.ts'
import type { TunnelEnd } from '../../upgrade/tunnel-direction.ts'
import type { BodyFramer } from '../../wire/body-framer.ts'
import type { Head } from '../../wire/head.ts'
import type { ClientOrigin } from '../client-origin.ts'
import type { ServerContext } from '../server-context.ts'
import type { Input } from './read-ahead.ts'

/** A connection of HTTP/1.1, as the exchange on it and its answer see it. */
export interface ClientConnection extends TunnelEnd {
  readonly context: ServerContext
  readonly requestBody: BodyFramer
  readonly input: Input
  /** Where what is sent to the client is put together. */
  readonly out: OutputBuffer
  readonly gone: boolean
  /** The connection ends with this exchange. */
  closes: boolean
  /** What upstreams are told of the client with this request. */
  originOf(head: Head): ClientOrigin
  /** Whether this is the exchange that it serves now. */
  isOn(exchange: object): boolean
  resume(): void
  /** What to read into from now on, as a long body is coming or not. */
  wantsBulk(wanted: boolean): void
  /** Throws away what there is of a body that nobody takes. */
  dropBody(): void
  /** Sends an answer of our own. */
  answer(answer: OwnAnswer, own: Readonly<Record<string, string>>): void
  /** The exchange has its answer: on to the next, or the end. */
  over(exchange: { readonly head: Head; over: boolean }): void
  /** It has switched to another protocol: what comes is for the tunnel from now on, until it closes. */
  switchTo(tunnel: Tunnel): void
  /** Ends the connection at once, so that what was sent does not look whole. */
  cut(): void
  /** The same, by a reset where there is no TLS to tell of an end that came too early. */
  reset(): void
}
