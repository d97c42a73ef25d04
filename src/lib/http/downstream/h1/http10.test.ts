import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../../testing/fast-forwarding.ts'
import { httpApp, RawClient, rawApp, recorder } from '../../../../testing/wire.ts'

const forwarding = fastForwarding()
const KEEP = 'Connection: keep-alive\r\n'
const old = (more = '', method = 'GET'): string => `${method} / HTTP/1.0\r\nHost: a\r\n${more}\r\n`

test('the app gets a request of HTTP/1.1, told by Via in which version it came', async () => {
  await using app = await recorder()
  await using front = await forwarding(app)
  using client = new RawClient(front.port, old(`X-A: b\r\n${KEEP}Upgrade: websocket\r\n`))
  await client.until('ok')
  client.send('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.until(/ok[\s\S]*ok/)
  const [first = '', second = ''] = app.seen.text.split('\r\n\r\n')
  assert.match(first, /^GET \/ HTTP\/1\.1\r\nHost: a\r\nX-A: b\r\n[\s\S]*Via: 1\.0 shadow$/)
  assert.match(second, /^GET \/2 HTTP\/1\.1\r\n[\s\S]*Via: 1\.1 shadow$/)
  assert.doesNotMatch(app.seen.text, /upgrade|keep-alive/i)
})

for (const forwarded of ['replace', 'append', 'keep'] as const)
  test(`a request without a host is forwarded with an empty one, and claims none: ${forwarded}`, async () => {
    await using app = await recorder()
    await using front = await forwarding(app, { forwarded })
    using client = new RawClient(front.port, 'GET / HTTP/1.0\r\nX-A: b\r\n\r\n')
    await client.closed()
    assert.match(app.seen.text, /^GET \/ HTTP\/1\.1\r\nHost: \r\nX-A: b\r\n/)
    assert.doesNotMatch(app.seen.text, /forwarded-host|host=/i)
  })

for (const [what, more, answer, expected] of [
  ['asked to keep the connection', KEEP, 'Content-Length: 2\r\n\r\nok', /Connection: keep-alive\r\n\r\nok$/],
  ['not asked to', '', 'Content-Length: 2\r\n\r\nok', /Connection: close\r\n\r\nok$/],
  ['asked to, but for an answer without a length', KEEP, '\r\nok', /Connection: close\r\n\r\nok$/],
] as const)
  test(`an answer says whether the connection goes on: ${what}`, async () => {
    await using app = await rawApp(socket =>
      socket.on('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${answer}`)
        if (!answer.startsWith('Content-Length')) socket.end()
      }),
    )
    await using front = await forwarding(app)
    using client = new RawClient(front.port, old(more))
    await client.until(expected)
    if (expected.source.includes('close')) await client.closed()
    else {
      client.send(old())
      assert.match(await client.closed(), /ok[\s\S]*HTTP\/1\.1 /)
    }
  })

test('a chunked answer comes without chunks and trailers, and the end of the connection ends it', async () => {
  await using app = await recorder(
    'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\ntransfer-encoding:  CHUNKED\r\nX-A: b\r\n\r\n3;e=f\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n',
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, old(KEEP))
  const answer = await client.closed()
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\nX-A: b\r\nDate: [^\r]*\r\nConnection: close\r\n\r\nabcde$/)
})

test('a chunked answer that the app leaves unfinished ends by a reset', async () => {
  await using app = await rawApp(socket =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd')),
  )
  await using front = await forwarding(app)
  using client = new RawClient(front.port, old())
  await client.until('abc')
  await client.closed()
  assert.match(String(client.error), /ECONNRESET/)
})

test('a HEAD of a chunked answer ends with its head, and the connection goes on', async () => {
  await using app = await recorder('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, old(KEEP, 'HEAD'))
  await client.until('\r\n\r\n')
  client.send(old('', 'HEAD'))
  const heads = (await client.closed()).split('\r\n\r\n')
  assert.equal(heads.length, 3)
  assert.doesNotMatch(client.text, /transfer-encoding/i)
})

for (const expect of ['pass', 'ask'] as const)
  test(`an Expect is ignored, and the body passes without a word to the client: ${expect}`, async () => {
    const heads: string[] = []
    await using app = await httpApp((request, response) => {
      heads.push(String(request.headers.expect))
      request.pipe(response)
    })
    await using node = await forwarding(app, { forwarded: 'keep', expect: expect === 'ask' ? 'answer' : 'pass' })
    await using front = await forwarding(node, { expect })
    using client = new RawClient(front.port, `${old('Expect: 100-continue\r\nContent-Length: 3\r\n', 'POST')}abc`)
    assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nabc$/)
    assert.deepEqual(heads, ['undefined'])
  })
