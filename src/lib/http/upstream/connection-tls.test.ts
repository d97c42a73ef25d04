import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { connect } from 'node:tls'
import { describe, test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { forwarding, through } from '../../../testing/forwarding.ts'
import { anAuthority } from '../../../testing/mutual-tls.ts'
import { httpApp, open, RawClient, until } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import { Credentials, optionsOf } from '../../tls/credentials.ts'
import { ExchangeServer } from '../downstream/exchange-server.ts'
import { UpstreamError } from '../next-hop.ts'
import { mutualServers, Peers } from '../tls/mutual.ts'

through(fastForwarding())
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const authority = await anAuthority()
const other = await anAuthority()
const DAY_MS = 86_400_000

/** A node as fronts see it: a listener by mutual TLS for `front.test`, that forwards to an app. */
async function aNode(app: { readonly address: string }) {
  const credentials = new Credentials(await authority.credential('node.test'))
  const peers = new Peers(({ subjectAltName }) => (subjectAltName === 'DNS:front.test' ? 'front' : undefined))
  const exchanges = new ExchangeServer({
    log: noLog,
    handler: exchange => exchange.forward({ address: app.address, forwarded: 'keep' }),
  })
  const [server] = mutualServers({ credentials, exchanges, peers, log: noLog })
  assert.ok(server)
  const opened = await open(server)
  return {
    ...opened,
    credentials,
    peers,
    exchanges,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
    },
  }
}

const tlsAs = (credentials: Credentials, servername = 'node.test') => ({ tls: { servername, credentials } })
const ours = async () => new Credentials(await authority.credential('front.test'))

describe('an upstream by mutual TLS', () => {
  test('is reached, and its connection is used again', async () => {
    await using app = await httpApp((_request, response) => response.end('hello'))
    await using node = await aNode(app)
    await using front = await forwarding(node, tlsAs(await ours()))
    using client = new RawClient(front.port, GET)
    await client.until('hello')
    client.send(GET)
    await client.until(/hello.*hello/s)
    assert.equal(node.exchanges.counted['handshakes'], 1)
  })

  for (const [what, hop] of [
    ['has another name than it should', async () => tlsAs(await ours(), 'other-node.test')],
    [
      'has a certificate of another CA',
      async () => tlsAs(new Credentials({ ...(await authority.credential('front.test')), ca: other.ca })),
    ],
  ] as const)
    test(`one that ${what} gets no request, and the request may go elsewhere`, async () => {
      await using app = await httpApp((_request, response) => response.end('hello'))
      await using node = await aNode(app)
      await using front = await forwarding(node, await hop())
      using client = new RawClient(front.port, GET)
      await client.until('HTTP/1.1 500')
      const [thrown] = front.outcomes
      assert.ok(thrown instanceof UpstreamError)
      assert.deepEqual([thrown.stage, thrown.sent], ['connect', false])
    })

  test('hears of a client that has left, though the client may have ended its side only', async () => {
    const gone = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    await using app = await httpApp(request => {
      asked.resolve()
      request.on('close', () => gone.resolve())
    })
    await using node = await aNode(app)
    await using front = await forwarding(node, tlsAs(await ours()))
    using client = new RawClient(front.port, GET)
    await asked.promise
    client.socket.resetAndDestroy()
    await gone.promise
  })

  test('takes an upload of 30 MB whole, and gives a long answer whole', async () => {
    const body = Buffer.alloc(30_000_000, 'x')
    await using app = await httpApp((request, response) => {
      let length = 0
      request
        .on('data', (chunk: Buffer) => (length += chunk.length))
        .on('end', () => {
          response.setHeader('x-length', length)
          response.end(body)
        })
    })
    await using node = await aNode(app)
    await using front = await forwarding(node, tlsAs(await ours()))
    const answer = await fetch(`http://127.0.0.1:${front.port}/`, { method: 'POST', body })
    assert.equal(answer.headers.get('x-length'), String(body.length))
    assert.ok(body.equals(Buffer.from(await answer.arrayBuffer())))
  })

  test('keeps its connections when either side renews its certificate, and new ones use the new one', async () => {
    const held = Promise.withResolvers<void>()
    await using app = await httpApp((request, response) => {
      if (request.url !== '/slow') return void response.end('quick')
      response.write('begun')
      void held.promise.then(() => response.end('and ended'))
    })
    await using node = await aNode(app)
    const credentials = await ours()
    await using front = await forwarding(node, tlsAs(credentials))
    using slow = new RawClient(front.port, GET.replace('/', '/slow'))
    await slow.until('begun')
    const next = await authority.credential('node.test', { until: Date.now() + 2 * DAY_MS })
    node.credentials.replace(next)
    credentials.replace(await authority.credential('front.test', { until: Date.now() + 2 * DAY_MS }))
    using quick = new RawClient(front.port, GET)
    await quick.until('quick')
    const shown = connect({
      port: node.port,
      host: '127.0.0.1',
      servername: 'node.test',
      ...optionsOf(credentials.current),
    })
    await once(shown, 'secureConnect')
    assert.equal(
      shown.getPeerX509Certificate()?.toString(),
      next.certificate?.replaceAll('\r', '').trimEnd().concat('\n'),
    )
    shown.destroy()
    held.resolve()
    await slow.until('and ended')
  })
})

describe('a listener by mutual TLS', () => {
  const now = Date.now()
  const credentials = {
    'no certificate': async () => ({ ca: authority.ca }),
    'a certificate of another CA': async () => ({ ...(await other.credential('front.test')), ca: authority.ca }),
    'a certificate for somebody else': () => authority.credential('node.test'),
    'an expired certificate': () => authority.credential('front.test', { from: now - 2 * DAY_MS, until: now - 60_000 }),
    'a certificate that is not valid yet': () => authority.credential('front.test', { from: now + 3_600_000 }),
  }
  for (const [what, credential] of Object.entries(credentials))
    test(`answers nothing to a client with ${what}`, async () => {
      let requests = 0
      await using app = await httpApp((_request, response) => response.end(String(++requests)))
      await using node = await aNode(app)
      const options = { port: node.port, host: '127.0.0.1', servername: 'node.test' }
      const client = connect({ ...options, ...optionsOf(await credential()) })
      let text = ''
      client.on('error', () => undefined).on('data', chunk => (text += chunk))
      client.write(GET)
      await new Promise(resolve => client.on('close', resolve))
      assert.deepEqual([text, requests], ['', 0])
    })

  test('tells a client of plain HTTP what it speaks', async () => {
    await using app = await httpApp((_request, response) => response.end())
    await using node = await aNode(app)
    const client = connectPlain(node.port, '127.0.0.1')
    client.write(GET)
    let text = ''
    client.setEncoding('utf8').on('data', chunk => (text += chunk))
    await once(client, 'close')
    assert.match(text, /^HTTP\/1\.1 400 .*plain HTTP was spoken to a listener of a cluster/s)
  })

  test('cuts the connections of a peer that is refused from now on, and takes no new one', async () => {
    await using app = await httpApp((_request, response) => void response.write('begun'))
    await using node = await aNode(app)
    await using front = await forwarding(node, tlsAs(await ours()))
    using client = new RawClient(front.port, GET)
    await client.until('begun')
    node.peers.refuse(['front'])
    await client.closed()
    using next = new RawClient(front.port, GET)
    await next.until('HTTP/1.1 500')
    await until(() => node.sockets.size === 0)
  })
})
