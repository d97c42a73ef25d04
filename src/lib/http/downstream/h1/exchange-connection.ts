import type { OwnAnswer } from '../../exchange.ts'
import type { OutputBuffer } from '../../sockets/buffers.ts'
import type { Tunnel } from '../../upgrade/tunnel.ts'
import type { TunnelEnd } from '../../upgrade/tunnel-direction.ts'
import type { BodyFramer } from '../../wire/body-framer.ts'
import type { Head } from '../../wire/head.ts'
import type { ClientOrigin } from '../client-origin.ts'
import type { ServerContext } from '../server-context.ts'
import type { ReadAhead } from './read-ahead.ts'

/** A connection of HTTP/1, as its exchange and its answer see it. */
export interface ClientConnection extends TunnelEnd {
  readonly context: ServerContext
  readonly requestBody: BodyFramer
  readonly input: ReadAhead
  /** The buffer in which output is composed. */
  readonly out: OutputBuffer
  readonly gone: boolean
  /** The connection ends with this exchange. */
  closes: boolean
  /** What upstreams are told about the client with this request. */
  originOf(head: Head): ClientOrigin
  /** Tells whether this is the current exchange. */
  isOn(exchange: object): boolean
  resume(): void
  /** Sets whether a long body is coming, which is read into a larger buffer. */
  wantsBulk(wanted: boolean): void
  /** Discards the bytes of a body that is not wanted. */
  dropBody(): void
  /** Sends an answer of our own. */
  answer(answer: OwnAnswer, own: Readonly<Record<string, string>>): void
  /** The exchange has been answered. Continues with the next one, or ends the connection. */
  over(exchange: { readonly head: Head; over: boolean }): void
  /** Switches to another protocol: the tunnel gets all bytes from now on. */
  switchTo(tunnel: Tunnel): void
  /** Ends the connection at once, so that an answer that was begun does not look complete. */
  cut(): void
  /** The same by a reset, if there is no TLS, which would report an early end. */
  reset(): void
}
