import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Head, MORE, WHOLE } from './head.ts'
import { parseRequest, parseResponse } from './parse.ts'

const LIMITS = { headBytes: 400, lineBytes: 100, headers: 6 }

const parse = (text: string, limits = LIMITS) => {
  const head = new Head(limits)
  const bytes = Buffer.from(text, 'latin1')
  return { head, code: parseRequest(head, bytes, 0, bytes.length) }
}

const H = 'Host: a\r\n'

for (const [what, text, status] of [
  ['an unknown method', `FOO / HTTP/1.1\r\n${H}\r\n`, 501],
  ['a method in lower case', `get / HTTP/1.1\r\n${H}\r\n`, 501],
  ['a method without end', 'G'.repeat(50), 501],
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 501],
  ['a target that is too long', `GET /${'x'.repeat(100)} HTTP/1.1\r\n${H}\r\n`, 414],
  ['a target without end', `GET /${'x'.repeat(200)}`, 414],
  ['a fragment in the target', `GET /a#b HTTP/1.1\r\n${H}\r\n`, 400],
  ['a raw byte in the target', `GET /\xe9 HTTP/1.1\r\n${H}\r\n`, 400],
  ['* for what is not OPTIONS', `GET * HTTP/1.1\r\n${H}\r\n`, 400],
  ['two spaces before the target', `GET  / HTTP/1.1\r\n${H}\r\n`, 400],
  ['a space after the version', `GET / HTTP/1.1 \r\n${H}\r\n`, 400],
  ['no version', `GET /\r\n${H}\r\n`, 400],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${H}\r\n`, 505],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${H}\r\n`, 505],
  ['a bare LF after the request line', `GET / HTTP/1.1\n${H}\r\n`, 400],
  ['two empty lines before the request', `\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`, 400],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host with credentials', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 400],
  ['a Host that is not ASCII', 'GET / HTTP/1.1\r\nHost: b\xfccher.example\r\n\r\n', 400],
  ['two Hosts', `GET / HTTP/1.1\r\n${H}${H}\r\n`, 400],
  ['a URL without a host', `GET http:///b HTTP/1.1\r\n${H}\r\n`, 400],
  ['a URL without a Host beside it', 'GET http://a/ HTTP/1.1\r\n\r\n', 400],
  ['a URL with credentials', `GET http://u@a/ HTTP/1.1\r\n${H}\r\n`, 400],
  ['a URL of another scheme', `GET ftp://a/ HTTP/1.1\r\n${H}\r\n`, 400],
  ['a header without a name', `GET / HTTP/1.1\r\n${H}: x\r\n\r\n`, 400],
  ['a space before the colon', `GET / HTTP/1.1\r\n${H}X : y\r\n\r\n`, 400],
  ['a folded line', `GET / HTTP/1.1\r\n${H}X: y\r\n z\r\n\r\n`, 400],
  ['a NUL in a value', `GET / HTTP/1.1\r\n${H}X: \0\r\n\r\n`, 400],
  ['a DEL in a value', `GET / HTTP/1.1\r\n${H}X: \x7f\r\n\r\n`, 400],
  ['a bare CR in a value', `GET / HTTP/1.1\r\n${H}X: a\rb\r\n\r\n`, 400],
  ['equal lengths twice', `GET / HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`, 400],
  ['equal lengths in a list', `GET / HTTP/1.1\r\n${H}Content-Length: 1, 1\r\n\r\n`, 400],
  ['an empty length', `GET / HTTP/1.1\r\n${H}Content-Length:\r\n\r\n`, 400],
  ['a length past what a double holds', `GET / HTTP/1.1\r\n${H}Content-Length: 9999999999999999\r\n\r\n`, 400],
  ['a tab before chunked', `GET / HTTP/1.1\r\n${H}Transfer-Encoding:\tchunked\r\n\r\n`, 400],
  ['a space after chunked', `GET / HTTP/1.1\r\n${H}Transfer-Encoding: chunked \r\n\r\n`, 400],
  ['chunked in HTTP/1.0', `GET / HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n`, 400],
  ['an Expect that is unknown', `GET / HTTP/1.1\r\n${H}Expect: wonders\r\n\r\n`, 417],
  ['too many headers', `GET / HTTP/1.1\r\n${H}${'A: b\r\n'.repeat(6)}\r\n`, 431],
  ['a head that is too long', `GET / HTTP/1.1\r\n${H}A: ${'x'.repeat(500)}\r\n\r\n`, 431],
  ['a head without end', `GET / HTTP/1.1\r\n${H}A: ${'x'.repeat(500)}`, 431],
] as const) {
  test(`${what} is refused with ${status}, in one piece or byte by byte`, () => {
    assert.equal(parse(text).code, status)
    const head = new Head(LIMITS)
    const bytes = Buffer.from(text, 'latin1')
    let code = MORE
    for (let end = 1; end <= bytes.length && code === MORE; end += 1) code = parseRequest(head, bytes, 0, end)
    assert.equal(code, status)
  })
}

test('a head is whole at its last byte and not before, wherever it was cut', () => {
  const text = `\r\nPOST /a?b HTTP/1.1\r\n${H}X-A:  b c \t\r\nContent-Length: 12\r\n\r\n`
  const bytes = Buffer.from(`junk${text}rest`, 'latin1')
  const head = new Head(LIMITS)
  for (let end = 4; end < 4 + text.length; end += 1) assert.equal(parseRequest(head, bytes, 4, end), MORE)
  // The same bytes in another buffer, as after more bytes were read behind a copy.
  assert.equal(parseRequest(head, Buffer.from(`${text}rest`, 'latin1'), 0, text.length + 4), WHOLE)
  assert.equal(head.length, text.length)
  assert.deepEqual([head.method, head.target, head.requestFraming, head.contentLength], ['POST', '/a?b', 'length', 12])
  assert.deepEqual(
    [head.name(1), head.value(1), head.header('x-a'), head.header('none')],
    ['X-A', 'b c', 'b c', undefined],
  )
})

for (const [target, host, path] of [
  ['http://b:1/c', 'b:1', '/c'],
  ['http://a/b?c', 'a', '/b?c'],
  ['http://a', 'a', '/'],
  ['http://a?c', 'a', '/?c'],
  ['HTTPS://A.example:8090/', 'A.example:8090', '/'],
  ['http://[::1]:80/x', '[::1]:80', '/x'],
] as const) {
  test(`the target ${target} is ${path} of ${host}, whatever Host says`, () => {
    const { head, code } = parse(`GET ${target} HTTP/1.1\r\n${H}\r\n`)
    assert.deepEqual([code, head.target, head.plainTarget, head.host], [WHOLE, path, false, host])
  })
}

test('OPTIONS may ask of the server as a whole', () => {
  assert.equal(parse(`OPTIONS * HTTP/1.1\r\n${H}\r\n`).head.target, '*')
  assert.equal(parse(`OPTIONS http://a HTTP/1.1\r\n${H}\r\n`).head.target, '*')
})

test('hosts that are IPv6 or IDN in ASCII are taken', () => {
  for (const host of ['[2001:db8::1]:8080', 'xn--bcher-kva.example', 'a_b.example.', 'EXAMPLE.com:80'])
    assert.equal(parse(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).code, WHOLE, host)
})

test('a head that is kept outlives the bytes that it was read from', () => {
  const bytes = Buffer.from(`xxGET /a HTTP/1.1\r\n${H}\r\n`)
  const head = new Head()
  parseRequest(head, bytes, 2, bytes.length)
  head.keep()
  bytes.fill(0)
  assert.deepEqual([head.target, head.header('host')], ['/a', 'a'])
  head.reset()
  assert.deepEqual([head.count, head.header('host'), head.host], [0, undefined, undefined])
})

for (const [text, expected] of [
  ['HTTP/1.1 200 OK\r\n\r\n', WHOLE],
  ['HTTP/1.1 200\r\n\r\n', WHOLE],
  ['HTTP/1.0 200 OK\r\n\r\n', WHOLE],
  ['HTTP/1.1 99 x\r\n\r\n', 400],
  ['HTTP/1.1 2000 OK\r\n\r\n', 400],
  ['HTTP/1.1 200 OK\n\r\n', 400],
  ['HTTP/1.1 200 O\0K\r\n\r\n', 400],
  ['HTTP/3 200 OK\r\n\r\n', 400],
  ['HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 400],
  ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n', 400],
] as const) {
  test(`the answer ${JSON.stringify(text)} is ${expected === WHOLE ? 'taken' : 'refused'}`, () => {
    const bytes = Buffer.from(text, 'latin1')
    assert.equal(parseResponse(new Head(), bytes, 0, bytes.length), expected)
  })
}

for (const [head, method, framing] of [
  ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'GET', 'length'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'HEAD', 'none'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'GET', 'chunked'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HEAD', 'none'],
  ['HTTP/1.1 200 OK\r\n\r\n', 'GET', 'close'],
  ['HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', 'GET', 'none'],
  ['HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 'GET', 'none'],
] as const) {
  test(`the body of ${JSON.stringify(head)} to ${method} is framed by: ${framing}`, () => {
    const parsed = new Head()
    parseResponse(parsed, Buffer.from(head), 0, head.length)
    assert.equal(parsed.responseFraming(method), framing)
  })
}
