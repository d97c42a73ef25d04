import { Http2ServerRequest, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2'
import type { Opened, StreamedResponse } from '../../exchange.ts'
import type { Head } from '../../wire/head.ts'

/** The request and the answer of a stream, as node:http's. */
export function opened(stream: ServerHttp2Stream, head: Head, raw: string[], signal: AbortSignal): Opened {
  // The compatibility API of node:http2 is made to be used as that of node:http.
  return {
    request: new Http2ServerRequest(stream, { ...pseudoHeaders(head), ...head.firstValues }, {}, raw),
    response: new Http2ServerResponse(stream) as Http2ServerResponse & StreamedResponse, // its types lack flushHeaders
    signal,
  }
}

const pseudoHeaders = (head: Head): Record<string, string> => ({
  ':method': head.method,
  ':path': head.target,
  ':scheme': 'https',
  ':authority': head.host ?? '',
})
