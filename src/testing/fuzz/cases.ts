type Case = {
  readonly what: string
  readonly kind: 'request' | 'response'
  readonly text: string
  readonly refused: boolean
}

const POST = 'POST / HTTP/1.1\r\nHost: h\r\n'
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`
const OK = 'HTTP/1.1 200 OK\r\n'
const INNER = 'GET /admin HTTP/1.1\r\nHost: h\r\n\r\n'

/** Inputs that some parsers are known to read differently; the fuzzer found the first ones. */
export const CASES: readonly Case[] = [
  {
    what: 'a length in the trailers',
    kind: 'request',
    text: `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n${INNER}`,
    refused: true,
  },
  {
    what: 'a coding in the trailers',
    kind: 'request',
    text: `${CHUNKED}0\r\nTransfer-Encoding: chunked\r\n\r\n`,
    refused: true,
  },
  {
    what: 'a length in the trailers of an answer',
    kind: 'response',
    text: `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n`,
    refused: true,
  },
  {
    what: 'a tab after chunked',
    kind: 'request',
    text: `${POST}Transfer-Encoding: chunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    refused: true,
  },
  {
    what: 'early hints that close',
    kind: 'response',
    text: `HTTP/1.1 103 x\r\nConnection: close\r\n\r\n${OK}\r\n`,
    refused: true,
  },
  {
    what: 'a bare LF in the trailers',
    kind: 'response',
    text: `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n\n`,
    refused: true,
  },
  {
    what: 'CL.TE',
    kind: 'request',
    text: `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`,
    refused: true,
  },
  {
    what: 'TE.CL',
    kind: 'request',
    text: `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n`,
    refused: true,
  },
  {
    what: 'TE.TE',
    kind: 'request',
    text: `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n`,
    refused: true,
  },
  {
    what: 'a bare LF before a hidden coding',
    kind: 'request',
    text: `${POST}X: y\nTransfer-Encoding: chunked\r\n\r\n`,
    refused: true,
  },
  {
    what: 'a bare LF in a chunk extension',
    kind: 'request',
    text: `${CHUNKED}3;a\nb\r\nabc\r\n0\r\n\r\n`,
    refused: true,
  },
  { what: 'a chunk size with a sign', kind: 'request', text: `${CHUNKED}+3\r\nabc\r\n0\r\n\r\n`, refused: true },
  { what: 'a chunk size with 0x', kind: 'request', text: `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`, refused: true },
  {
    what: 'a chunk size past 64 bits',
    kind: 'request',
    text: `${CHUNKED}10000000000000003\r\nabc\r\n0\r\n\r\n`,
    refused: true,
  },
  { what: 'a chunk longer than it says', kind: 'request', text: `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`, refused: true },
  { what: 'a space before the extension', kind: 'request', text: `${CHUNKED}3 ;x\r\nabc\r\n0\r\n\r\n`, refused: true },
  { what: 'a length with a plus', kind: 'request', text: `${POST}Content-Length: +3\r\n\r\nabc`, refused: true },
  {
    what: 'names that look like others',
    kind: 'request',
    text: `${POST}Content_Length: 9\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc${INNER}`,
    refused: false,
  },
  {
    what: 'Connection that names the framing',
    kind: 'request',
    text: `${POST}Connection: content-length, host\r\nContent-Length: 3\r\n\r\nabc${INNER}`,
    refused: false,
  },
  {
    what: 'a GET with a body',
    kind: 'request',
    text: `GET / HTTP/1.1\r\nHost: h\r\nContent-Length: ${INNER.length}\r\n\r\n${INNER}${INNER}`,
    refused: false,
  },
  {
    what: 'chunk extensions of every form, and trailers',
    kind: 'request',
    text: `${CHUNKED}3;a;b=c;d="e\\"f;g"\r\nabc\r\n0;z\r\nT: v\r\n\r\n${INNER}`,
    refused: false,
  },
  {
    what: 'leading zeros of a chunk size',
    kind: 'request',
    text: `${CHUNKED}0003\r\nabc\r\n000\r\n\r\n${INNER}`,
    refused: false,
  },
  {
    what: 'an empty line before a request',
    kind: 'request',
    text: `${POST}Content-Length: 3\r\n\r\nabc\r\n${INNER}`,
    refused: false,
  },
  {
    what: 'early hints before an answer',
    kind: 'response',
    text: `HTTP/1.1 103 x\r\nLink: y\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    refused: false,
  },
  {
    what: 'an answer to the end of its connection',
    kind: 'response',
    text: `${OK}\r\nHTTP/1.1 200 OK\r\n\r\n`,
    refused: false,
  },
  {
    what: '204 with a length',
    kind: 'response',
    text: `HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    refused: false,
  },
  {
    what: 'a URL of another host than Host',
    kind: 'request',
    text: `GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n${INNER}`,
    refused: false,
  },
  {
    what: 'a URL with credentials',
    kind: 'request',
    text: `GET http://h@other/x HTTP/1.1\r\nHost: h\r\n\r\n`,
    refused: true,
  },
  {
    what: 'a request that goes round in circles',
    kind: 'request',
    text: `GET / HTTP/1.1\r\nHost: h\r\n${'Via: 1.1 shadow\r\n'.repeat(6)}\r\n`,
    refused: true,
  },
  {
    what: 'Connection that names where it came from',
    kind: 'request',
    text: `${POST}Connection: via, forwarded, x-forwarded-for\r\nVia: 1.1 a\r\nForwarded: for=b\r\nX-Forwarded-For: c\r\nContent-Length: 3\r\n\r\nabc${INNER}`,
    refused: false,
  },
]
