import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'vitest'
import { noLog } from '../lib/log.ts'
import type { Network } from '../model/access.ts'
import { FRONT_CHECKS_NODES_EVERY } from '../model/intervals.ts'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, recorder, until } from '../testing/wire.ts'
import { untrusted } from './visitor.ts'

/** The client's address that the front finds in a request with these headers from a trusted proxy. */
async function takenFor(lines: readonly string[], version = '1.1'): Promise<string | undefined> {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  const connector = new FakeConnector(() => ({ address: app.address }))
  const settings = { SHADOW_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8,2001:db8:1::/48' }
  await using front = await aFront({ master: master.url, connector, settings })
  const head = [`GET / HTTP/${version}`, 'Host: blog.localhost', ...lines].join('\r\n')
  using client = new RawClient(front.port, `${head}\r\n\r\n`)
  await client.until('ok')
  return connector.holdRequests[0]?.what.replace('GET / from ', '')
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

const elements = (...values: string[]) => values.map(value => `Forwarded: ${value}`)
for (const [how, lines, client] of [
  ['one element', elements('for=203.0.113.9;proto=https'), '203.0.113.9'],
  ['what the client made up before it', elements('for=6.6.6.6, for=203.0.113.9'), '203.0.113.9'],
  ['a line of the client and one of the proxy', elements('for=6.6.6.6', 'For=203.0.113.9'), '203.0.113.9'],
  ['a chain of trusted proxies', elements('for=6.6.6.6, for=203.0.113.9, for=10.0.0.1', 'for=10.0.0.2'), '203.0.113.9'],
  ['a trusted proxy over IPv6', elements('for=203.0.113.9, for="[2001:DB8:1::7]"'), '203.0.113.9'],
  ['none but trusted ones', elements('for=10.0.0.1, for=10.0.0.2'), '10.0.0.1'],
  ['IPv6 with a port', elements('for="[2001:DB8::9]:4711"'), '2001:db8::9'],
  ['no address', elements('for=203.0.113.9, for=unknown'), 'unknown'],
  ['no for', elements('proto=https'), '127.0.0.1'],
  ['a quoted text that the client has begun', elements('for="6.6.6.6', 'for=203.0.113.9'), '203.0.113.9'],
  ['nonsense', elements('for 203.0.113.9'), '127.0.0.1'],
  ['X-Forwarded-For beside it', [...said('203.0.113.9'), ...elements('for=6.6.6.6')], '203.0.113.9'],
] as const) {
  test(`the same is believed of Forwarded alone: ${how}`, async () => {
    assert.equal(await takenFor(lines), client)
  })

  test(`and held against an app's rules and rates: ${how}`, async () => {
    await using app = await httpApp((_request, response) => response.end('ok'))
    const denied = /^[\d.]+$|:/.test(client) ? client : '198.51.100.1'
    const blog = { ...anApp('blog', ['blog.localhost']), access: { allow: [], deny: [denied as Network] } }
    await using master = await masterOf([blog], [aNode('one', '127.0.0.1:1')])
    const connector = new FakeConnector(() => ({ address: app.address }))
    const settings = { SHADOW_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8,2001:db8:1::/48' }
    await using front = await aFront({ master: master.url, connector, settings })
    using visitor = new RawClient(
      front.port,
      `GET / HTTP/1.1\r\n${['Host: blog.localhost', ...lines].join('\r\n')}\r\n\r\n`,
    )
    assert.match(await visitor.until('\r\n\r\n'), denied === client ? /^HTTP\/1\.1 403 / : /^HTTP\/1\.1 200 /)
  })
}

for (const [how, lines] of [
  ['X-Forwarded-For', said('6.6.6.6, 203.0.113.9')],
  ['Forwarded', elements('for=6.6.6.6, for=203.0.113.9')],
] as const)
  test(`a node is told whom the front takes for the client: ${how}`, async () => {
    await using node = await recorder()
    await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', node.address)])
    await using front = await aFront({ master: master.url, settings: { SHADOW_TRUSTED_PROXIES: '127.0.0.1' } })
    using client = new RawClient(
      front.port,
      `GET / HTTP/1.1\r\n${['Host: blog.localhost', ...lines].join('\r\n')}\r\n\r\n`,
    )
    await client.until('ok')
    assert.match(node.seen.text, /^x-shadow-client: 203\.0\.113\.9\r$/m)
  })

test('an app is never taken for a proxy, whatever the list of those says', async () => {
  class OnApps extends FakeConnector {
    networks: readonly string[] = []
    override async check() {
      return { overall: false, overloaded: false, app_networks: this.networks }
    }
  }
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  const connector = new OnApps(() => ({ address: app.address }))
  const warned: unknown[] = []
  const log = { ...noLog, warn: (_event: string, fields?: object) => void warned.push(fields) }
  const settings = { SHADOW_TRUSTED_PROXIES: '10.0.0.0/8,127.0.0.1' }
  await using front = await aFront({ master: master.url, connector, settings, log })
  const takenNow = async (): Promise<string | undefined> => {
    using client = new RawClient(
      front.port,
      'GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n',
    )
    await client.until('ok')
    return connector.holdRequests.at(-1)?.what
  }
  assert.equal(await takenNow(), 'GET / from 6.6.6.6')
  connector.networks = ['127.0.0.0/18', '192.168.7.0/24']
  await front.clock.advance(FRONT_CHECKS_NODES_EVERY)
  await until(() => warned.length > 0)
  assert.deepEqual(warned, [{ networks: ['127.0.0.0/18'] }])
  assert.equal(await takenNow(), 'GET / from 127.0.0.1')
})

test('networks of apps that a list of proxies has, in whole or in part, are told', () => {
  const list = new BlockList()
  list.addSubnet('10.0.0.0', 8, 'ipv4')
  list.addAddress('172.20.0.9', 'ipv4')
  const networks = ['10.1.64.0/18', '172.20.0.0/16', '192.168.0.0/24', 'fd00::/64']
  assert.deepEqual(untrusted(list, networks), ['10.1.64.0/18', '172.20.0.0/16'])
})

const CHROMIUM =
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7'
const UPGRADES = 'Upgrade-Insecure-Requests: 1'
const TO_PAGES = [
  ['Chromium over HTTPS', [CHROMIUM, UPGRADES, 'Sec-Fetch-Mode: navigate']],
  ['Chromium over plain HTTP, which says no Sec-Fetch-*', [CHROMIUM, UPGRADES]],
  ['Firefox over plain HTTP', ['Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', UPGRADES]],
  ['an Accept in two lines', ['Accept: text/html', 'Accept: */*;q=0.1', UPGRADES]],
] as const
const HELD = [
  ['a script of a page', [CHROMIUM, UPGRADES, 'Sec-Fetch-Mode: cors']],
  ['a picture of a page over plain HTTP', ['Accept: image/avif,image/webp,image/*,*/*;q=0.8']],
  ['a script of a page over plain HTTP', ['Accept: */*']],
  ['curl', ['User-Agent: curl/7.88.1', 'Accept: */*']],
  ['who wants HTML and does not open it', [CHROMIUM]],
  ['who opens a page, but wants JSON more', ['Accept: application/json, text/html;q=0.9', UPGRADES]],
  ['who opens a page, and wants no HTML', ['Accept: text/html;q=0, */*', UPGRADES]],
  ['who wants anything', ['Accept: */*', UPGRADES]],
] as const
for (const [gets, cases] of [
  ['a page', TO_PAGES],
  ['a document', HELD],
] as const)
  for (const [who, lines] of cases)
    test(`${gets} of ours is for ${who}`, async () => {
      await using master = await masterOf([], [])
      await using front = await aFront({ master: master.url, connector: new FakeConnector(() => ({})) })
      using client = new RawClient(
        front.port,
        `GET / HTTP/1.1\r\n${['Host: none.example', ...lines].join('\r\n')}\r\n\r\n`,
      )
      const answer = await client.until('\r\n\r\n')
      assert.match(answer, gets === 'a page' ? /^content-type: text\/html/im : /^content-type: application\/problem/im)
    })

for (const [gets, cases] of [
  ['the waiting page', TO_PAGES],
  ['held', HELD],
] as const)
  for (const [who, lines] of cases)
    test(`while an app wakes, ${gets} is for ${who}`, async () => {
      await using app = await httpApp((_request, response) => response.end('ok'))
      await using master = await masterOf([anApp('blog', ['blog.example'])], [aNode('one', '127.0.0.1:1')])
      const connector = new FakeConnector(() => ({ address: app.address }))
      await using front = await aFront({ master: master.url, connector })
      using client = new RawClient(
        front.port,
        `GET / HTTP/1.1\r\n${['Host: blog.example', ...lines].join('\r\n')}\r\n\r\n`,
      )
      await client.until('ok')
      assert.equal(connector.holdRequests[0]?.patienceMs, gets === 'held' ? undefined : 1_000)
    })
