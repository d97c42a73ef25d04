import { createServer } from 'node:net'
import { type Opened, open } from '../../../src/testing/wire.ts'

/**
 * The bytes that a back end answers with, in latin1. `refused`: no client may receive any of them. `passes`: by all rules, the hidden part
 * belongs to the answer.
 */
export type SmuggledAnswer = {
  readonly answer: string
  /** Sent a moment later, when the connection is idle. */
  readonly later?: string
  readonly method?: 'GET' | 'HEAD' | 'POST'
  readonly refused?: true
  readonly passes?: true
}

/** Less than the time of an attack, and after the answer was passed on. */
const LATER_MS = 20

/** A header that is only in hidden answers. */
export const HIDDEN = 'X-Hidden'
const ANOTHER = `HTTP/1.1 200 OK\r\n${HIDDEN}: 1\r\nContent-Length: 6\r\n\r\nhidden`

const ok = (headers: string, body: string, status = '200 OK'): string =>
  `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`
const TE = 'Transfer-Encoding: chunked'
const length = (text: string): string => `Content-Length: ${text.length}`
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const END = '0\r\n\r\n'

/** Answers that are followed by another answer, or that two parsers could read differently. */
export const smuggledAnswers: Readonly<Record<string, SmuggledAnswer>> = {
  'another behind a whole one': { answer: ok('Content-Length: 2', `ok${ANOTHER}`) },
  'another behind chunks': { answer: ok(TE, `${chunk('ok')}${END}${ANOTHER}`) },
  'another behind trailers': { answer: ok(TE, `${chunk('ok')}0\r\nX-A: b\r\n\r\n${ANOTHER}`) },
  'another behind an empty one': { answer: ok('Content-Length: 0', ANOTHER) },
  'another behind empty chunks': { answer: ok(TE, `${END}${ANOTHER}`) },
  'another behind 204': { answer: ok('X-A: b', ANOTHER, '204 No Content') },
  'another behind 304': { answer: ok(length(ANOTHER), ANOTHER, '304 Not Modified') },
  'chunks behind 204': { answer: ok(TE, `${chunk(ANOTHER)}${END}`, '204 No Content') },
  'chunks behind 304': { answer: ok(TE, `${chunk(ANOTHER)}${END}`, '304 Not Modified') },
  'a body to HEAD': { answer: ok(length(ANOTHER), ANOTHER), method: 'HEAD' },
  'chunks to HEAD': { answer: ok(TE, `${chunk(ANOTHER)}${END}`), method: 'HEAD' },
  'a body without framing to HEAD': { answer: ok('X-A: b', ANOTHER), method: 'HEAD' },
  'another behind an early answer': { answer: ok('Content-Length: 2', `ok${ANOTHER}`), method: 'POST' },
  'another behind an answer that closes': { answer: ok('Content-Length: 2\r\nConnection: close', `ok${ANOTHER}`) },
  'another behind one of HTTP/1.0': { answer: `HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok${ANOTHER}` },
  'another, a moment later': { answer: ok('Content-Length: 2', 'ok'), later: ANOTHER },
  'the half of another, a moment later': { answer: ok('Content-Length: 2', 'ok'), later: ANOTHER.slice(0, 30) },
  'the body of HEAD, a moment later': { answer: ok(length(ANOTHER), ''), method: 'HEAD', later: ANOTHER },
  'half of another': { answer: ok('Content-Length: 2', `ok${ANOTHER.slice(0, 30)}`) },
  'an empty line': { answer: ok('Content-Length: 2', 'ok\r\n') },
  'two lengths': { answer: ok('Content-Length: 2\r\nContent-Length: 99', `ok${ANOTHER}`), refused: true },
  'two lengths in one': { answer: ok('Content-Length: 2, 99', `ok${ANOTHER}`), refused: true },
  'a length with a sign': { answer: ok('Content-Length: +2', `ok${ANOTHER}`), refused: true },
  'a length below 0': { answer: ok('Content-Length: -2', `ok${ANOTHER}`), refused: true },
  'a length in hex': { answer: ok('Content-Length: 0x2', `ok${ANOTHER}`), refused: true },
  'a length that is too great': { answer: ok('Content-Length: 18446744073709551618', `ok${ANOTHER}`), refused: true },
  'an empty length': { answer: ok('Content-Length:', `ok${ANOTHER}`), refused: true },
  'a length and chunks': { answer: ok(`Content-Length: 2\r\n${TE}`, `${chunk('ok')}${END}${ANOTHER}`) },
  'chunks and a length': { answer: ok(`${TE}\r\nContent-Length: 2`, `${chunk('ok')}${END}${ANOTHER}`) },
  'a length, and chunks that are none': {
    answer: ok('Content-Length: 2\r\nTransfer-Encoding: xchunked', `ok${ANOTHER}`),
  },
  'chunks twice': { answer: ok(`${TE}\r\n${TE}`, `${chunk('ok')}${END}${ANOTHER}`) },
  'a coding in a list': { answer: ok('Transfer-Encoding: gzip, chunked', `${chunk('ok')}${END}${ANOTHER}`) },
  'a space before the colon of a length': { answer: ok('Content-Length : 2', `ok${ANOTHER}`) },
  'a tab before the colon of chunks': { answer: ok('Transfer-Encoding\t: chunked', `${chunk('ok')}${END}${ANOTHER}`) },
  'white space around a length': { answer: ok('Content-Length: \t2 \t', `ok${ANOTHER}`) },
  'white space around chunked': { answer: ok('Transfer-Encoding: \tchunked', `${chunk('ok')}${END}${ANOTHER}`) },
  'a space before the colon of one of two lengths': {
    answer: ok('Content-Length: 2\r\nContent-Length : 99', `ok${ANOTHER}`),
    refused: true,
  },
  'a folded length': { answer: ok('Content-Length:\r\n 2', `ok${ANOTHER}`), refused: true },
  'a NUL in a header': { answer: ok('X-A: \0\r\nContent-Length: 2', `ok${ANOTHER}`), refused: true },
  'a CR in a header': { answer: ok('X-A: b\rX-C: d\r\nContent-Length: 2', `ok${ANOTHER}`), refused: true },
  'a LF in a header': { answer: ok('X-A: b\nContent-Length: 2', `ok${ANOTHER}`), refused: true },
  'LF for ends of lines': { answer: `HTTP/1.1 200 OK\nContent-Length: 2\n\nok${ANOTHER}`, refused: true },
  'a status that is none': { answer: ok('Content-Length: 2', `ok${ANOTHER}`, '99 Odd'), refused: true },
  'a version that is none': { answer: `HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nok${ANOTHER}`, refused: true },
  'no head at all': { answer: `ok${ANOTHER}`, refused: true },
  'a switch that nobody asked for': {
    answer: ok('Connection: Upgrade\r\nUpgrade: x', ANOTHER, '101 Switching Protocols'),
    refused: true,
  },
  'a size with a sign': { answer: ok(TE, `+2\r\nok\r\n${END}${ANOTHER}`) },
  'a size in 0x': { answer: ok(TE, `0x2\r\nok\r\n${END}${ANOTHER}`) },
  'a size that is too great': { answer: ok(TE, `10000000000000002\r\nok\r\n${END}${ANOTHER}`) },
  'a LF in a chunk extension': { answer: ok(TE, `2;\nx\r\nok\r\n${END}${ANOTHER}`) },
  'a chunk without an end': { answer: ok(TE, `2\r\nok${END}${ANOTHER}`) },
  'a last chunk with LF': { answer: ok(TE, `${chunk('ok')}0\n\n${ANOTHER}`) },
  'a folded trailer': { answer: ok(TE, `${chunk('ok')}0\r\nX-A: b\r\n c\r\n\r\n${ANOTHER}`) },
  'early hints with a length': { answer: ok(length(ANOTHER), ANOTHER, '103 Early Hints'), passes: true },
  'a go-on with a length': { answer: ok(length(ANOTHER), ANOTHER, '100 Continue'), passes: true },
  'no framing': { answer: ok('X-A: b', ANOTHER), passes: true },
}

/**
 * A back end that answers `…/smuggled/N` with answer N, and other requests with their target. It closes a connection only after `no
 * framing`.
 */
export function smugglingBackend(): Promise<Opened> {
  const all = Object.values(smuggledAnswers)
  const server = createServer({ noDelay: true }, socket => {
    let text = ''
    socket
      .on('error', () => undefined) // cut by the front
      .setEncoding('latin1')
      .on('data', (bytes: string) => {
        text += bytes
        for (;;) {
          const [head, method, target = '', smuggled] =
            /^(\w+) (\S*?(?:\/smuggled\/(\d+))?) [\s\S]*?\r\n\r\n/.exec(text) ?? []
          if (head === undefined) return
          text = method === 'POST' ? '' : text.slice(head.length) // the content of a body is never parsed
          const { answer, later } = all[Number(smuggled ?? Number.NaN)] ?? { answer: ok(length(target), target) }
          socket.write(answer, 'latin1')
          if (later !== undefined) setTimeout(() => socket.write(later, 'latin1'), LATER_MS)
          if (smuggled !== undefined && !/\r\n(Content-Length|Transfer-Encoding)/i.test(answer.split(HIDDEN)[0] ?? ''))
            return void socket.end()
        }
      })
  })
  return open(server)
}
