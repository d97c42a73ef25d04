import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { ExchangeServer, type ExchangeServerOptions } from '../lib/http/downstream/exchange-server.ts'
import type { NextHop } from '../lib/http/next-hop.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'
import { open } from './wire.ts'

/** A forwarder for HTTP/2 clients without TLS, in front of one upstream, and what became of each request. */
export async function streaming(
  upstream: { readonly address: string },
  hop: Partial<NextHop> = {},
  options: Partial<ExchangeServerOptions> = {},
) {
  const clock = new HandClock()
  const outcomes: unknown[] = []
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    async handler(exchange) {
      try {
        await exchange.forward({ address: upstream.address, forwarded: 'replace', ...hop })
        outcomes.push('done')
      } catch (error) {
        outcomes.push(error)
        throw error
      }
    },
    ...options,
  })
  // The protocol that a TLS listener would have negotiated with its client.
  const server = createServer({ noDelay: true, allowHalfOpen: true }, socket =>
    exchanges.accept(Object.assign(socket, { alpnProtocol: 'h2' })),
  )
  const opened = await open(server)
  return {
    ...opened,
    clock,
    outcomes,
    exchanges,
    client: () => h2Client(`http://127.0.0.1:${opened.port}`),
    async [Symbol.asyncDispose]() {
      exchanges[Symbol.dispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
}

export type H2Answer = {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly raw: readonly string[]
  readonly body: string
  readonly trailers: Record<string, unknown>
  readonly hints: Record<string, unknown>[]
}

/** A client of node:http2. */
export function h2Client(url: string, options: Parameters<typeof connect>[1] = {}) {
  const session: ClientHttp2Session = connect(url, options)
  session.on('error', () => undefined)
  const request = (headers: OutgoingHttpHeaders, ends = true): ClientHttp2Stream =>
    session.request({ ':authority': 'a', ...headers }, { endStream: ends })
  return {
    session,
    request,
    /** Sends a request and returns the whole answer. */
    async ask(headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<H2Answer> {
      const stream = request(headers, body === undefined)
      if (body !== undefined) stream.end(body)
      return answerTo(stream)
    },
    [Symbol.dispose]: () => session.destroy(),
  }
}

/** The whole answer to a request; rejects if the stream is reset. */
export async function answerTo(stream: ClientHttp2Stream): Promise<H2Answer> {
  const hints: Record<string, unknown>[] = []
  let trailers: Record<string, unknown> = {}
  stream.on('headers', headers => hints.push(headers))
  stream.on('trailers', given => {
    trailers = given
  })
  const [headers, raw] = await new Promise<[Record<string, unknown>, string[]]>((resolve, reject) => {
    stream.once('response', (given, _flags, ...rest: unknown[]) => resolve([given, rest[0] as string[]]))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error(`closed with ${stream.rstCode}`)))
  })
  const body = await text(stream)
  return { status: Number(headers[':status']), headers, raw, body, trailers, hints }
}
