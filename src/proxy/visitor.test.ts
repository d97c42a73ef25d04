import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aFront, aNode, anApp, FakeReach, masterOf } from '../testing/front.ts'
import { httpApp, RawClient } from '../testing/wire.ts'

/** Whom the front takes the client for, whose request has these lines and comes from a proxy that is trusted. */
async function takenFor(lines: readonly string[], version = '1.1'): Promise<string | undefined> {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  const reach = new FakeReach(() => ({ address: app.address }))
  const settings = { SHADOW_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8,2001:db8:1::/48' }
  await using front = await aFront({ master: master.url, reach, settings })
  const head = [`GET / HTTP/${version}`, 'Host: blog.localhost', ...lines].join('\r\n')
  using client = new RawClient(front.port, `${head}\r\n\r\n`)
  await client.until('ok')
  return reach.asks[0]?.what.replace('GET / from ', '')
}

const said = (...values: string[]) => values.map(value => `X-Forwarded-For: ${value}`)
for (const [how, lines, client] of [
  ['nothing said', [], '127.0.0.1'],
  ['one address', said('203.0.113.9'), '203.0.113.9'],
  ['what the client made up before it', said('6.6.6.6, 203.0.113.9'), '203.0.113.9'],
  ['a line of the client and one of the proxy', said('6.6.6.6', '203.0.113.9'), '203.0.113.9'],
  ['a chain of trusted proxies', said('6.6.6.6, 203.0.113.9, 10.0.0.1,10.0.0.2'), '203.0.113.9'],
  ['a trusted proxy over IPv6', said('203.0.113.9, 2001:DB8:1::7'), '203.0.113.9'],
  ['none but trusted ones', said('10.0.0.1, 10.0.0.2'), '10.0.0.1'],
  ['IPv4 as IPv6', said('::ffff:203.0.113.9'), '203.0.113.9'],
  ['a port', said('203.0.113.9:4711'), '203.0.113.9'],
  ['IPv6 with a port', said('[2001:DB8::9]:4711'), '2001:db8::9'],
  ['empty parts', said(' , 203.0.113.9, '), '203.0.113.9'],
  ['no address', said('203.0.113.9, unknown'), 'unknown'],
] as const)
  for (const version of ['1.1', '1.0'])
    test(`the client behind trusted proxies is the last who is none: ${how}, HTTP/${version}`, async () => {
      assert.equal(await takenFor(lines, version), client)
    })
