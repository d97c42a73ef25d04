import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { RawClient, rawApp, recorder, until } from '../../../testing/wire.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const ASKING = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n'

/** An app that answers a head with these pieces, one after the other. */
const saying = (...pieces: string[]) =>
  rawApp(socket => {
    socket.on('data', async () => {
      for (const piece of pieces) {
        socket.write(piece)
        await new Promise(resolve => setImmediate(resolve))
      }
    })
  })

test('interim answers pass in their order, but for a 100 that the client did not ask for', async () => {
  await using app = await saying(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n',
    OK,
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, GET)
  assert.match(
    await client.until('ok'),
    /^HTTP\/1\.1 102 Processing\r\nX-A: b\r\n\r\nHTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 103 Early Hints\r\nLink: <\/b>\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  )
})

test('a client of HTTP/1.0 gets no interim answers', async () => {
  await using app = await saying('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', OK)
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  assert.match(await client.until('ok'), /^HTTP\/1\.1 200 OK\r\n/)
})

test('a switch of protocols that nobody asked for is no answer', async () => {
  await using app = await saying('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nevil')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, GET)
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 500 /)
  assert.doesNotMatch(client.text, /evil/)
})

for (const status of ['417 Expectation Failed', '413 Content Too Large', '200 OK'])
  test(`an app that answers ${status} where it was asked to go on is heard, and gets no body`, async () => {
    await using app = await recorder(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`)
    await using front = await forwarding(app)
    using client = new RawClient(front.port, ASKING)
    assert.match(await client.until('no'), new RegExp(`^HTTP/1\\.1 ${status}\r\n`))
    client.send('abc') // a client may send its body without waiting (RFC 9110, 10.1.1)
    await until(() => app.sockets.size === 0)
    assert.match(app.seen.text, /Expect: 100-continue\r\n/)
    assert(app.seen.text.endsWith('\r\n\r\n'))
  })

test('a client that expects 100 and sends its body all the same has it forwarded', async () => {
  let seen = ''
  await using app = await rawApp(socket =>
    socket.setEncoding('latin1').on('data', chunk => {
      seen += chunk
      if (seen.endsWith('abc')) socket.write(OK)
    }),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, `${ASKING}abc`)
  assert.match(await client.until('ok'), /^HTTP\/1\.1 200 OK\r\n/)
})

test('what else a client expects is refused with 417, and nothing forwarded', async () => {
  await using app = await recorder()
  await using front = await forwarding(app)
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n')
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 417 /)
  assert.equal(app.seen.text, '')
})
