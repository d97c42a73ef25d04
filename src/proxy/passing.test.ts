import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { describe, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { aFront, aNode, aNodeListener, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, type Opened, RawClient, rawApp, until } from '../testing/wire.ts'

const HOST = 'Host: blog.localhost\r\n'

/** A front with an app, in one hop or with a node between; `connector` counts the holds. */
async function frontOf(app: Opened, hops: 1 | 2) {
  const started = new AsyncDisposableStack()
  const node = hops === 2 ? started.use(await aNodeListener(app)) : undefined
  const connector = new FakeConnector(() =>
    node === undefined ? { address: app.address } : { address: node.address, isHop: true },
  )
  const master = started.use(await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')]))
  const front = started.use(await aFront({ master: master.url, connector }))
  return { port: front.port, connector, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

/** An app that answers the first request of each connection, and closes the connection at the second request without an answer. */
async function closesOnSecond() {
  const requests: string[] = []
  const app = await rawApp(socket => {
    let first = true
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      requests.push(chunk.split(' HTTP')[0] ?? '')
      if (!first) return socket.destroy()
      first = false
      return socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>')
    })
  })
  return Object.assign(app, { requests })
}

for (const hops of [1, 2] as const)
  describe(`through a front ${hops === 1 ? 'alone' : 'and a node'}`, () => {
    const front = async (listener: RequestListener) => {
      const app = await httpApp(listener)
      const opened = await frontOf(app, hops)
      const dispose = async (): Promise<void> => {
        await opened[Symbol.asyncDispose]()
        await app[Symbol.asyncDispose]()
      }
      return { ...opened, app, [Symbol.asyncDispose]: dispose }
    }

    test('an answer that comes early in an upload is heard, and the app let go', async () => {
      await using before = await front((request, response) => {
        response.writeHead(413, { connection: 'close' }).end('<too much>')
        request.on('error', () => undefined).resume()
      })
      using client = new RawClient(before.port, `POST / HTTP/1.1\r\n${HOST}Content-Length: 50000000\r\n\r\n`)
      for (let sent = 0; sent < 5_000_000 && !client.text.includes('<too much>'); sent += 65_536) {
        client.send('x'.repeat(65_536))
        await new Promise(setImmediate)
      }
      assert.match(await client.until('<too much>'), /^HTTP\/1\.1 413 /)
      await until(() => before.connector.held === 0)
    })

    test('a WebSocket talks both ways and holds the app until it closes, with the code that was said', async () => {
      const codes: number[] = []
      const app = await httpApp(
        () => undefined,
        server =>
          void new WebSocketServer({ server }).on('connection', socket =>
            socket.on('message', data => socket.send(`<${data}>`)).on('close', code => codes.push(code)),
          ),
      )
      await using _app = app
      await using before = await frontOf(app, hops)
      const socket = new WebSocket(`ws://127.0.0.1:${before.port}/`, { headers: { host: 'blog.localhost' } })
      await once(socket, 'open')
      socket.send('hello')
      const [said] = await once(socket, 'message')
      assert.equal(String(said), '<hello>')
      assert.deepEqual([before.connector.held, before.connector.holdRequests[0]?.kind], [1, 'websocket'])
      socket.close(4_001)
      await until(() => before.connector.held === 0 && codes.length === 1)
      assert.deepEqual(codes, [4_001])
    })

    test('another protocol is switched to, too', async () => {
      await using app = await rawApp(socket => {
        let head = ''
        socket.on('end', () => socket.end())
        socket.setEncoding('latin1').on('data', (chunk: string) => {
          if (head.endsWith('\r\n\r\n')) return socket.write(`<${chunk}>`)
          head += chunk
          if (!head.endsWith('\r\n\r\n')) return false
          assert.match(head, /^Upgrade: shadow\/1\r$/im)
          return socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shadow/1\r\n\r\n')
        })
      })
      await using before = await frontOf(app, hops)
      using client = new RawClient(
        before.port,
        `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: shadow/1\r\n\r\n`,
      )
      await client.until(/^HTTP\/1\.1 101 [\s\S]*\r\n\r\n/)
      client.send('hello')
      await client.until('<hello>')
      assert.equal(before.connector.held, 1)
      client.socket.destroy()
      await until(() => before.connector.held === 0)
    })

    test('the app is told once where a request came from, and nothing that a stranger claims', async () => {
      await using before = await front(({ rawHeaders }, response) => response.end(`<${JSON.stringify(rawHeaders)}>`))
      const spoofed =
        'X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n'
      using client = new RawClient(before.port, `GET / HTTP/1.1\r\n${HOST}${spoofed}\r\n`)
      const [, json = '[]'] = /<(.*)>/.exec(await client.until(']>')) ?? []
      const raw = JSON.parse(json) as string[]
      const told = (name: string): string[] =>
        raw.filter((_, at) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === name)
      assert.deepEqual(told('x-forwarded-for'), ['127.0.0.1'])
      assert.deepEqual(told('x-forwarded-proto'), ['http'])
      assert.deepEqual(told('x-forwarded-host'), ['blog.localhost'])
      assert.equal(told('forwarded').length, 1)
      assert.doesNotMatch(json, /6\.6\.6\.6|7\.7\.7\.7|evil/)
    })

    for (const [method, again] of [
      ['GET', true],
      ['POST', false],
    ] as const)
      test(`a kept connection that the app closes just then: ${method} is ${again ? 'sent once more' : 'not sent twice, and told of'}`, async () => {
        await using app = await closesOnSecond()
        await using before = await frontOf(app, hops)
        const head = `${method} /2 HTTP/1.1\r\n${HOST}${method === 'POST' ? 'Content-Length: 0\r\n' : ''}\r\n`
        using client = new RawClient(before.port, `GET /1 HTTP/1.1\r\n${HOST}\r\n`)
        await client.until('<ok>')
        client.text = ''
        client.send(head)
        await client.until(again ? '<ok>' : /^HTTP\/1\.1 502 [\s\S]*unreachable/)
        assert.equal(app.requests.filter(request => request.endsWith('/2')).length, again ? 2 : 1)
        await until(() => before.connector.held === 0)
      })

    test('early hints come before the answer', async () => {
      await using before = await front((_request, response) =>
        response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end('<ok>')),
      )
      using client = new RawClient(before.port, `GET / HTTP/1.1\r\n${HOST}\r\n`)
      assert.match(await client.until('<ok>'), /^HTTP\/1\.1 103 [\s\S]*a\.css[\s\S]*HTTP\/1\.1 200 /)
    })

    test('trailers pass both ways', async () => {
      await using before = await front((request, response) => {
        request.resume().on('end', () => {
          response.writeHead(200, { trailer: 'X-Back' })
          response.write(`<${request.trailers['x-there']}>`)
          response.addTrailers({ 'X-Back': 'yes' })
          response.end()
        })
      })
      using client = new RawClient(
        before.port,
        `POST / HTTP/1.1\r\n${HOST}TE: trailers\r\nTrailer: X-There\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-There: told\r\n\r\n`,
      )
      assert.match(await client.until(/0\r\nX-Back: yes\r\n\r\n$/i), /<told>/)
    })

    test('HEAD is told the length and given no body, and the connection serves the next', async () => {
      await using before = await front((_request, response) => response.setHeader('content-length', 4).end('<ok>'))
      using client = new RawClient(before.port, `HEAD / HTTP/1.1\r\n${HOST}\r\n`)
      await client.until(/^HTTP\/1\.1 200 [\s\S]*content-length: 4[\s\S]*\r\n\r\n$/i)
      client.text = ''
      client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`)
      assert.match(await client.until('<ok>'), /^HTTP\/1\.1 200 /)
    })
  })
