import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient } from '../testing/wire.ts'

const H = 'Host: blog.localhost\r\n'
const many = Array.from({ length: 300 }, (_, at) => `X-${at}: b\r\n`).join('')
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${H}\r\n`

/** A front with one app, which records its requests; the connector records the holds. */
async function aFrontOfOne() {
  const started = new AsyncDisposableStack()
  const saw: string[] = []
  const app = started.use(
    await httpApp((request, response) => {
      saw.push(`${request.method} ${request.url}`)
      response.end('<ok>')
    }),
  )
  const connector = new FakeConnector(() => ({ address: app.address }))
  const master = started.use(await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')]))
  const front = started.use(await aFront({ master: master.url, connector }))
  return { port: front.port, connector, saw, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

const bad: readonly (readonly [what: string, head: string, status: RegExp])[] = [
  ['no Host', 'GET / HTTP/1.1\r\n', /400/],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n', /400/],
  ['two Hosts', `GET / HTTP/1.1\r\n${H}${H}`, /400/],
  ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: blog.localhost, other\r\n', /400/],
  ['a Host in raw UTF-8', 'GET / HTTP/1.1\r\nHost: b\xc3\xbccher.example\r\n', /400/],
  ['a folded line', `GET / HTTP/1.1\r\n${H}X-A: b\r\n c\r\n`, /400/],
  ['a NUL', `GET / HTTP/1.1\r\n${H}X-A: \0\r\n`, /400/],
  ['a method that is none', `FOO / HTTP/1.1\r\n${H}`, /501|400/],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n', /501|505|400/],
  ['a version that is none', `GET / HTTP/1.7\r\n${H}`, /505|400/],
  ['CONNECT', 'CONNECT blog.localhost:443 HTTP/1.1\r\nHost: blog.localhost:443\r\n', /405/],
  ['a length and chunks', `POST / HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, /400/],
  ['a length with a sign', `POST / HTTP/1.1\r\n${H}Content-Length: +4\r\n`, /400/],
  ['an Expect that is none', `POST / HTTP/1.1\r\n${H}Expect: wonders\r\nContent-Length: 4\r\n`, /417/],
  ['a URL with credentials', `GET http://u@blog.localhost/ HTTP/1.1\r\n${H}`, /400/],
  ['too many headers', `GET / HTTP/1.1\r\n${H}${many}`, /431/],
  ['a head that is too large', `GET / HTTP/1.1\r\n${H}X-A: ${'x'.repeat(200_000)}\r\n`, /431/],
  ['a target that is too long', `GET /${'x'.repeat(200_000)} HTTP/1.1\r\n${H}`, /414|431/],
]

for (const [what, head, status] of bad) {
  test(`answered without a look at any app, and nothing behind it served: ${what}`, async () => {
    await using front = await aFrontOfOne()
    using client = new RawClient(front.port, `${head}\r\n${SMUGGLED}`)
    const answer = await client.closed()
    assert.match(answer.split(' ')[1] ?? '', status)
    assert.deepEqual([front.connector.holdRequests.length, front.saw], [0, []])
  })

  test(`the same on a connection that began with HTTP/1.0: ${what}`, async () => {
    await using front = await aFrontOfOne()
    using client = new RawClient(front.port, `GET /0 HTTP/1.0\r\n${H}Connection: keep-alive\r\n\r\n`)
    await client.until('<ok>')
    client.text = ''
    client.send(`${head}\r\n${SMUGGLED}`)
    const answer = await client.closed()
    assert.match(answer.split(' ')[1] ?? '', status)
    assert.deepEqual(front.saw, ['GET /0'])
  })
}

for (const host of [
  '[2001:db8::1]:8090',
  '[::1]',
  'blog.localhost.evil.example',
  'blog.localhost..',
  'b%C3%BCcher.example',
])
  test(`a Host that no app can have is unknown, and its connection serves on: ${host}`, async () => {
    await using front = await aFrontOfOne()
    using client = new RawClient(front.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    assert.match(await client.until('"host-unknown"'), /^HTTP\/1\.1 404 /)
    assert.equal(front.connector.holdRequests.length, 0)
    client.send(`GET / HTTP/1.1\r\n${H}\r\n`)
    await client.until('<ok>')
  })
