import type { Input } from './difference.ts'

/** Random numbers that can be had again from their seed (mulberry32). */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  one<T>(among: readonly [T, ...T[]]): T {
    return among[this.below(among.length)] ?? among[0]
  }

  maybe(chance: number): boolean {
    return this.next() < chance
  }
}

const METHODS = [
  'GET',
  'POST',
  'HEAD',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'PROPFIND',
  'M-SEARCH',
  'CONNECT',
  'PRI',
  'get',
  'FOO',
  '',
] as const
const TARGETS = [
  '/',
  '/a?b=c',
  '/%20',
  '*',
  'http://h/x',
  'https://h',
  'http://h?q',
  'h:80',
  '/a#b',
  '//x',
  '/\x7f',
  '/é',
  '/a b',
  '',
  '/a\\b',
  '/{}|^`"<>',
] as const
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/1.2',
  'http/1.1',
  'HTTP/1.1 ',
  ' HTTP/1.1',
  'HTTP/11',
  '',
] as const
const LINE_ENDS = ['\r\n', '\n', '\r', '\r\r\n', '\n\r', '\0\r\n', ''] as const
const HEADERS = [
  'Host: h',
  'Host: other',
  'host:h',
  'Host:',
  'Host: h h',
  'X: y',
  'X:',
  'X : y',
  ' X: y',
  'X',
  ': y',
  'X: a\tb ',
  'X: \x01',
  'X: é',
  'X: a\0b',
  'X\x00: b',
  'X: a\rb',
  'X: a\nb',
  'X:  spaced  ',
  'Content-Length: 3',
  'Content-Length: 03',
  'Content-Length: +3',
  'Content-Length: 3, 3',
  'Content-Length: -1',
  'Content-Length: 0x3',
  'Content-Length: 99999999999999999999',
  'Content-Length:',
  'Content-Length: 3 ',
  'Content_Length: 3',
  'Content-Length : 3',
  'Content-Length: 0',
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding:',
  'Transfer_Encoding: chunked',
  'transfer-encoding: chunked',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: Upgrade',
  'Connection: content-length',
  'Connection: transfer-encoding, host',
  'Connection: close, x',
  'Connection: x',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'Expect: x',
  'TE: trailers',
  'Trailer: T',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive',
  'X-Forwarded-For: 1.2.3.4',
] as const
const CHUNKS = [
  '3\r\nabc\r\n',
  '3;x\r\nabc\r\n',
  '3;x=y\r\nabc\r\n',
  '3;x="y;\\"z"\r\nabc\r\n',
  '3 \r\nabc\r\n',
  '3 ;x\r\nabc\r\n',
  '03\r\nabc\r\n',
  '0003\r\nabc\r\n',
  '+3\r\nabc\r\n',
  '0x3\r\nabc\r\n',
  'a\r\n0123456789\r\n',
  'A\r\n0123456789\r\n',
  '3\nabc\n',
  '3\r\nabc\n',
  '3\r\nabcd\r\n',
  '3\r\nab\r\n',
  '\r\nabc\r\n',
  '-1\r\n',
  'fffffffffffffffff\r\n',
  '3;\r\nabc\r\n',
  '3;x=\r\nabc\r\n',
  '3;=y\r\nabc\r\n',
  '3;x="\r\nabc\r\n',
  '3;x=y;z\r\nabc\r\n',
  '3\r\rabc\r\n',
  '3;x\nabc\r\n',
  '3\r\nabc\r\r\n',
  '3;x="y"z\r\nabc\r\n',
  '3; x\r\nabc\r\n',
  '3;x =y\r\nabc\r\n',
] as const
const ENDS = [
  '0\r\n\r\n',
  '0\r\n\r\n',
  '0\r\n\r\n',
  '00\r\n\r\n',
  '0;x\r\n\r\n',
  '0\r\nT: v\r\n\r\n',
  '0\r\nT: v\r\nU: w\r\n\r\n',
  '0\r\nContent-Length: 5\r\n\r\n',
  '0\r\nTransfer-Encoding: chunked\r\n\r\n',
  '0\r\nHost: x\r\n\r\n',
  '0\n\n',
  '0\r\n\n',
  '0\r\n',
  '0\r\n x: y\r\n\r\n',
  '0\r\nT : v\r\n\r\n',
  '0\r\n\r',
  '0 \r\n\r\n',
  '0\r\nT\r\n\r\n',
] as const
const STATUS_LINES = [
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200',
  'HTTP/1.1 200 ',
  'HTTP/1.1 204 No Content',
  'HTTP/1.1 304 Not Modified',
  'HTTP/1.1 100 Continue',
  'HTTP/1.1 103 Early Hints',
  'HTTP/1.1 101 Switching',
  'HTTP/1.0 200 OK',
  'HTTP/1.1 99 x',
  'HTTP/1.1 999 x',
  'HTTP/1.1  200 OK',
  'HTTP/1.1 20 OK',
  'HTTP/1.1 2000 OK',
  'HTTP/1.1 200OK',
  'HTTP/1.1 200 \x01',
  'HTTP/1.1 200 é',
  'HTTP/2 200 OK',
  'HTTP/1.1\t200 OK',
  'http/1.1 200 OK',
  'HTTP/1.1 500 x',
  'HTTP/1.1 205 x',
] as const
const ODD = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '\x0b',
  '\x7f',
  '\x80',
  '\xff',
  '0',
  '"',
  '-',
  '_',
  'GET / HTTP/1.1\r\nHost: h\r\n\r\n',
] as const

/** One input: a few messages in a row, mostly well formed, then spoilt in a few places. */
export function input(chance: Chance): Input {
  const kind = chance.maybe(0.7) ? 'request' : 'response'
  let text = ''
  const heads: boolean[] = []
  for (let left = 1 + chance.below(3); left > 0; left -= 1) {
    text += kind === 'request' ? request(chance) : response(chance)
    heads.push(chance.maybe(0.2))
  }
  for (let left = chance.maybe(0.3) ? chance.below(4) : 0; left > 0; left -= 1) text = spoil(text, chance)
  return { bytes: Buffer.from(text, 'latin1'), kind, heads }
}

const usual = <T>(chance: Chance, common: T, among: readonly [T, ...T[]]): T =>
  chance.maybe(0.95) ? common : chance.one(among)

function request(chance: Chance): string {
  const method = usual(chance, chance.one(['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']), METHODS)
  const target = usual(chance, '/path', TARGETS)
  const version = usual(chance, 'HTTP/1.1', VERSIONS)
  const start = usual(chance, `${method} ${target} ${version}`, [
    `${method}  ${target} ${version}`,
    `\r\n${method} ${target} ${version}`,
    `${method} ${target}`,
    `\n${method} ${target} ${version}`,
  ])
  return message(chance, start, chance.maybe(0.95) ? ['Host: h'] : [])
}

const response = (chance: Chance): string => message(chance, usual(chance, 'HTTP/1.1 200 OK', STATUS_LINES), [])

function message(chance: Chance, start: string, headers: string[]): string {
  let body = ''
  const framing = chance.below(4)
  if (framing === 1) {
    headers.push('Content-Length: 5')
    body = 'hello'
  } else if (framing === 2) {
    headers.push('Transfer-Encoding: chunked')
    for (let left = chance.below(3); left > 0; left -= 1) body += usual(chance, '3\r\nabc\r\n', CHUNKS)
    body += usual(chance, '0\r\n\r\n', ENDS)
  } else if (framing === 3 && chance.maybe(0.3)) body = chance.one(CHUNKS)
  for (let left = chance.below(4); left > 0; left -= 1) {
    const line = chance.maybe(0.75) ? 'Accept: */*' : chance.one(HEADERS)
    headers.splice(chance.below(headers.length + 1), 0, line)
  }
  const end = (): string => (chance.maybe(0.98) ? '\r\n' : chance.one(LINE_ENDS))
  return start + end() + headers.map(line => line + end()).join('') + end() + body
}

function spoil(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1)
  switch (chance.below(6)) {
    case 0:
      return text.slice(0, at) + chance.one(ODD) + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + chance.below(3))
    case 2:
      return text.slice(0, at) + chance.one(ODD) + text.slice(at + 1)
    case 3:
      return text.slice(0, at)
    case 4: {
      const to = Math.min(text.length, at + chance.below(40))
      return text.slice(0, to) + text.slice(at)
    }
    default:
      return text.slice(0, at) + String.fromCharCode(chance.below(256)) + text.slice(at + chance.below(2))
  }
}

/** Where to cut an input into pieces: nowhere, in a few places, or after every byte. */
export function cuts(length: number, chance: Chance): number[] {
  const how = chance.below(8)
  if (how === 0) return []
  if (how === 1 && length < 400) return Array.from({ length }, (_, at) => at)
  return Array.from({ length: chance.below(6) }, () => chance.below(length + 1))
}
