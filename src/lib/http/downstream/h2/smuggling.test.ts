import assert from 'node:assert/strict'
import { test } from 'vitest'
import { streaming } from '../../../../testing/h2-forwarding.ts'
import { END_STREAM, FRAME, FrameClient, GET, POST } from '../../../../testing/h2-wire.ts'
import { httpApp, rawApp, until } from '../../../../testing/wire.ts'
import { isFailure } from '../../../errors.ts'
import { Head } from '../../wire/head.ts'
import { readHead, trailerLines } from './request-head.ts'

type Fields = readonly (readonly [string, string])[]

/** An app of node:http that records the requests that it parsed. */
async function httpWitness() {
  const requests: string[] = []
  const app = await httpApp((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      requests.push(`${request.method} ${request.url} ${request.headers['transfer-encoding']} [${body}]`)
      response.end(`saw ${request.url}`)
    })
  })
  return Object.assign(app, { requests })
}

/** An app that records every byte it receives, and answers each head. */
async function witness() {
  const seen = { text: '' }
  const app = await rawApp(socket =>
    socket
      .on('end', () => socket.destroy())
      .setEncoding('latin1')
      .on('data', (chunk: string) => {
        seen.text += chunk
        const hasBody = /transfer-encoding|content-length: [1-9]/i.test(chunk)
        if (/\r\n\r\n$/.test(chunk) && !hasBody) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
  )
  return Object.assign(app, { seen })
}

const INNER = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n'

const HARMLESS =
  /^GET \/ HTTP\/1\.1\r\nhost: a\r\nX-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nForwarded: [^\r\n]*\r\nVia: 2 shadow\r\n\r\n$/

const without = (name: string): Fields => GET.filter(([one]) => one !== name)
const instead = (name: string, value: string): Fields => GET.map(([one, was]) => [one, one === name ? value : was])

for (const [what, fields] of [
  ['Connection', [...GET, ['connection', 'x']]],
  ['Keep-Alive', [...GET, ['keep-alive', 'timeout=5']]],
  ['Proxy-Connection', [...GET, ['proxy-connection', 'keep-alive']]],
  ['Transfer-Encoding', [...POST, ['transfer-encoding', 'chunked']]],
  ['Upgrade', [...GET, ['upgrade', 'websocket']]],
  ['HTTP2-Settings', [...GET, ['http2-settings', 'AAMAAABkAAQAAP__']]],
  ['a TE other than trailers', [...GET, ['te', 'gzip']]],
  ['a name in upper case', [...GET, ['Transfer-Encoding', 'chunked']]],
  ['a method with a request in it', instead(':method', 'GET /admin HTTP/1.1\r\nx: ')],
  ['a path with a request in it', instead(':path', '/ HTTP/1.1\r\nHost: a\r\n\r\nGET /admin')],
  ['a path with a space', instead(':path', '/ /admin')],
  ['a path that is a URL', instead(':path', 'http://b/')],
  ['a path without a slash', instead(':path', 'admin')],
  ['an empty path', instead(':path', '')],
  ['* for GET', instead(':path', '*')],
  ['an authority with a line end', instead(':authority', 'a\r\nx: y')],
  ['an authority with a user', instead(':authority', 'b@a')],
  ['no method', without(':method')],
  ['no path', without(':path')],
  ['no scheme', without(':scheme')],
  ['no authority and no host', without(':authority')],
  ['a host other than the authority', [...GET, ['host', 'b']]],
  ['two hosts', [...without(':authority'), ['host', 'a'], ['host', 'b']]],
  ['two paths', [...GET, [':path', '/b']]],
  ['two authorities', [...GET, [':authority', 'b']]],
  ['a pseudo-header after a header', [...without(':path'), ['x', 'y'], [':path', '/']]],
  ['an unknown pseudo-header', [...GET, [':evil', '1']]],
  ['an answer as a request', [...GET, [':status', '200']]],
  ['two lengths', [...POST, ['content-length', '3'], ['content-length', '4']]],
  ['two lengths in one', [...POST, ['content-length', '3, 3']]],
  ['a signed length', [...POST, ['content-length', '+3']]],
  ['a length without a body', [...POST, ['content-length', '3']]],
  ['an Expect that is none', [...GET, ['expect', 'x']]],
] as const satisfies readonly (readonly [string, Fields])[]) {
  test(`refused and nothing forwarded: ${what}`, async () => {
    await using app = await witness()
    await using front = await streaming(app)
    using client = new FrameClient(front.port)
    client.ask(1, fields)
    await client.until(() => client.resetOf(1) !== undefined || client.endOf(1) || client.goneWith !== undefined)
    assert.equal(app.seen.text, '')
    if (client.resetOf(1) !== 1) assert.match(client.text(1), /"code":"bad-input"/)
  })
}

const NO_HEADERS = [
  ['a line end in a value', 'x-a', 'b\r\nTransfer-Encoding: chunked'],
  ['a CR in a value', 'x-a', 'b\rTransfer-Encoding: chunked'],
  ['an LF in a value', 'x-a', 'b\nTransfer-Encoding: chunked'],
  ['an end of the head in a value', 'x-a', `b\r\n\r\n${INNER}`],
  ['a NUL in a value', 'x-a', 'b\0c'],
  ['a colon in a name', 'x-a: b', 'c'],
  ['a line end in a name', 'x-a: b\r\ntransfer-encoding', 'chunked'],
  ['a space in a name', 'transfer-encoding ', 'chunked'],
  ['an empty name', '', 'b'],
  ['a control character', 'x-a', '\x01'],
] as const

for (const [what, name, value] of NO_HEADERS) {
  // node:http2 drops an invalid header before we see it, and goes on with the request.
  test(`never forwarded: ${what}`, async () => {
    await using app = await witness()
    await using front = await streaming(app)
    using client = new FrameClient(front.port)
    client.ask(1, [...GET, [name, value]])
    await client.until(() => client.endOf(1))
    assert.match(app.seen.text, HARMLESS)
    client.ask(3)
    await client.until(() => client.endOf(3))
    assert.equal(app.seen.text.match(/^GET /gm)?.length, 2)
  })

  test(`refused by ourselves, were it to reach us: ${what}`, () => {
    const raw = [...GET, [name, value]].flat()
    assert.equal(readHead(new Head(), raw, true)?.status, 400)
    assert.equal(trailerLines([name, value]), undefined)
  })
}

for (const [what, name, value] of [
  ['a path', ':path', '/ HTTP/1.1\r\nX: y'],
  ['a path with a space', ':path', '/ x'],
  ['a method', ':method', 'GET /admin'],
  ['an authority', ':authority', 'a\r\nX: y'],
  ['an authority with a space', ':authority', 'a b'],
] as const) {
  test(`refused by ourselves, were it to reach us: a request in ${what}`, () => {
    assert.equal(readHead(new Head(), instead(name, value).flat(), true)?.status, 400)
  })
}

for (const method of ['DELETE', 'OPTIONS', 'GET', 'POST', 'PROPFIND']) {
  test(`a ${method} of unknown length is chunked, its body stays a body`, async () => {
    await using app = await httpWitness()
    await using front = await streaming(app)
    using client = front.client()
    const one = await client.ask({ ':method': method, ':path': '/one' }, INNER)
    const two = await client.ask({ ':path': '/two' })
    assert.deepEqual([one.body, two.body], ['saw /one', 'saw /two'])
    assert.deepEqual(app.requests, [`${method} /one chunked [${INNER}]`, 'GET /two undefined []'])
    assert.equal(app.sockets.size, 1, 'on the same connection')
  })

  test(`a ${method} with a length keeps it`, async () => {
    await using app = await httpWitness()
    await using front = await streaming(app)
    using client = front.client()
    await client.ask({ ':method': method, ':path': '/one', 'content-length': INNER.length }, INNER)
    assert.deepEqual(app.requests, [`${method} /one undefined [${INNER}]`])
  })
}

for (const method of ['GET', 'DELETE', 'POST']) {
  test(`a ${method} without a body is sent without one`, async () => {
    await using app = await witness()
    await using front = await streaming(app)
    using client = front.client()
    await client.ask({ ':method': method })
    assert.doesNotMatch(app.seen.text, /transfer-encoding/i)
    assert.equal(/content-length: 0\r\n/i.test(app.seen.text), method === 'POST')
  })
}

for (const [what, pieces] of [
  ['more bytes than the length', ['abcd']],
  ['fewer bytes than the length', ['ab']],
  ['more bytes, after as many as the length', ['abc', 'GET /admin']],
] as const) {
  test(`an error, and never whole at the app: ${what}`, async () => {
    await using app = await witness()
    await using front = await streaming(app)
    using client = new FrameClient(front.port)
    client.ask(1, [...POST, ['content-length', '3']], true)
    pieces.forEach((piece, at) => {
      client.send(FRAME.data, at === pieces.length - 1 ? END_STREAM : 0, 1, Buffer.from(piece))
    })
    await client.until(() => client.resetOf(1) === 1 || client.closed)
    await until(() => front.outcomes.length === 1)
    await front.clock.advance(5_000)
    await until(() => app.sockets.size === 0)
    assert.doesNotMatch(app.seen.text, /abcd|admin/)
  })
}

test('a body that the client resets without an error does not look whole at the app', async () => {
  await using app = await witness()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  for (const [stream, method] of [
    [1, 'POST'],
    [3, 'HEAD'],
  ] as const) {
    client.ask(stream, [[':method', method], ...GET.slice(1)], true)
    client.send(FRAME.data, 0, stream, Buffer.from('abc'))
    await until(() => app.seen.text.endsWith('abc\r\n'))
    client.send(FRAME.reset, 0, stream, Buffer.alloc(4))
    await until(() => app.sockets.size === 0)
    assert.doesNotMatch(app.seen.text, /\r\n0\r\n/)
    assert(isFailure(front.outcomes.at(-1), 'client-gone'))
  }
})

test('CONNECT is refused, and so is its extension', async () => {
  await using app = await witness()
  await using front = await streaming(app)
  using client = front.client()
  const answer = await client.ask({ ':method': 'CONNECT', ':authority': 'b:443' })
  assert.equal(answer.status, 405)
  using frames = new FrameClient(front.port)
  frames.ask(1, [...instead(':method', 'CONNECT'), [':protocol', 'websocket']], true)
  await frames.until(() => frames.resetOf(1) !== undefined)
  assert.equal(app.seen.text, '')
})

test('a host alone will do, and one that says the same as the authority', async () => {
  await using app = await witness()
  await using front = await streaming(app)
  using client = new FrameClient(front.port)
  client.ask(1, [...without(':authority'), ['host', 'one']])
  client.ask(3, [...GET, ['host', 'A']])
  await client.until(() => client.endOf(1) && client.endOf(3))
  assert.match(app.seen.text, /^host: one\r\n/m)
  assert.match(app.seen.text, /^host: a\r\n/m)
  assert.doesNotMatch(app.seen.text, /^host: A\r\n/m)
})
