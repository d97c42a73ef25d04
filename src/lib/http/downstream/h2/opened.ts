import type { IncomingMessage, ServerResponse } from 'node:http'
import { Http2ServerRequest, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2'
import type { Opened } from '../../exchange.ts'
import type { Head } from '../../wire/head.ts'

/** The request on a stream as node:http would give it. */
export function opened(stream: ServerHttp2Stream, head: Head, raw: string[], signal: AbortSignal): Opened {
  // They are made to be used as those of HTTP/1 (node:http2, compatibility API).
  return {
    request: new Http2ServerRequest(
      stream,
      { ...pseudoHeaders(head), ...head.firstValues },
      {},
      raw,
    ) as unknown as IncomingMessage,
    response: new Http2ServerResponse(stream) as unknown as ServerResponse,
    signal,
  }
}

const pseudoHeaders = (head: Head): Record<string, string> => ({
  ':method': head.method,
  ':path': head.target,
  ':scheme': 'https',
  ':authority': head.host ?? '',
})
