import assert from 'node:assert/strict'
import { test } from 'vitest'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { open, RawClient, recorder } from '../../../testing/wire.ts'
import { noLog } from '../../log.ts'
import type { Exchange } from '../exchange.ts'
import type { NextHop } from '../next-hop.ts'
import { ExchangeServer, netServer } from './exchange-server.ts'

const drops = { prefix: 'x-verified-', names: ['authorization'] }

/** Takes `/token` off the path, and forwards with a user that the client cannot choose. */
const mounted =
  (address: string, seen: { targets: string[] }) =>
  (exchange: Exchange): Promise<void> => {
    exchange.mountAt('/token')
    seen.targets.push(`${exchange.mountedAt} ${exchange.target} ${exchange.isFor('/x')}`)
    const hop: NextHop = { address, forwarded: 'replace', drops, requestHeaders: { 'X-Verified-User': 'ann' } }
    return exchange.forward(hop)
  }

async function serving() {
  const app = await recorder()
  const seen = { targets: [] as string[] }
  const exchanges = new ExchangeServer({ log: noLog, handler: mounted(app.address, seen) })
  const server = await open(netServer(exchanges))
  return {
    app,
    seen,
    port: server.port,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      exchanges[Symbol.dispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

for (const [line, arrives, seen] of [
  ['GET /token/x HTTP/1.1', 'GET /x HTTP/1.1', '/token /x true'],
  ['GET /token/x?y=/token/ HTTP/1.1', 'GET /x?y=/token/ HTTP/1.1', '/token /x?y=/token/ false'],
  ['GET /token HTTP/1.1', 'GET / HTTP/1.1', '/token / false'],
  ['GET /token?y HTTP/1.1', 'GET /?y HTTP/1.1', '/token /?y false'],
  ['GET http://a/token/x HTTP/1.1', 'GET /x HTTP/1.1', '/token /x true'],
  ['GET /token/x HTTP/1.0', 'GET /x HTTP/1.1', '/token /x true'],
] as const)
  test(`without /token, ${line} arrives as ${arrives}`, async () => {
    await using front = await serving()
    using client = new RawClient(front.port, `${line}\r\nHost: a\r\nX-A: b\r\n\r\n`)
    await client.until('ok')
    const [start, ...lines] = front.app.seen.text.split('\r\n')
    assert.equal(start, arrives)
    assert.deepEqual(front.seen.targets, [seen])
    assert.equal(lines.filter(each => /^host:/i.test(each)).length, 1)
    assert(lines.includes('X-A: b'))
  })

test('what the client says by dropped names, in any spelling, as a header or as a trailer, does not arrive', async () => {
  await using front = await serving()
  using client = new RawClient(
    front.port,
    'POST /token/x HTTP/1.1\r\nHost: a\r\nX-Verified-User: eve\r\nx_verified_user: eve\r\nX-VERIFIED_Admin: eve\r\nAuthorization: eve\r\n' +
      'X-Verified: kept\r\nTransfer-Encoding: chunked\r\nTrailer: x-verified-user\r\n\r\n1\r\na\r\n0\r\nx-verified-user: eve\r\nX_Verified_More: eve\r\nx-mine: kept\r\n\r\n',
  )
  await client.until('ok')
  assert.match(front.app.seen.text, /X-Verified: kept\r\n[\s\S]*X-Verified-User: ann\r\n[\s\S]*x-mine: kept\r\n/)
  assert.doesNotMatch(front.app.seen.text, /eve/)
})

test('an upgrade goes to the rest of its path, with our header and not the one of the client', async () => {
  await using front = await serving()
  using client = new RawClient(
    front.port,
    'GET /token/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Verified-User\r\nUpgrade: websocket\r\nX-Verified-User: eve\r\n\r\n',
  )
  await client.until('ok')
  assert.match(
    front.app.seen.text,
    /^GET \/x HTTP\/1\.1\r\n[\s\S]*Upgrade: websocket\r\n[\s\S]*X-Verified-User: ann\r\n/,
  )
  assert.doesNotMatch(front.app.seen.text, /eve/)
})

test('a request of HTTP/2 arrives in the same way', async () => {
  await using app = await recorder()
  const seen = { targets: [] as string[] }
  await using front = await streaming(app, {}, { handler: mounted(app.address, seen) })
  using client = front.client()
  const { status } = await client.ask({
    ':path': '/token/x?y',
    'x-verified-user': 'eve',
    'x_verified-user': 'eve',
    authorization: 'eve',
  })
  assert.equal(status, 200)
  assert.match(app.seen.text, /^GET \/x\?y HTTP\/1\.1\r\n[\s\S]*X-Verified-User: ann\r\n/)
  assert.doesNotMatch(app.seen.text, /eve/)
  assert.deepEqual(seen.targets, ['/token /x?y false'])
})
