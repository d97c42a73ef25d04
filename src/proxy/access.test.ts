import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { Buckets } from '../lib/shared/buckets.ts'
import { type Access, network, rate } from '../model/access.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { aFront, aNode, anApp, dataFolder, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient } from '../testing/wire.ts'
import { Guard } from './access.ts'

const blog = appName('blog')
const rules = (said: { allow?: string[]; deny?: string[]; rate?: string; ratePerClient?: string }): Access => ({
  allow: (said.allow ?? []).map(network),
  deny: (said.deny ?? []).map(network),
  ...(said.rate !== undefined && { rate: rate(said.rate) }),
  ...(said.ratePerClient !== undefined && { ratePerClient: rate(said.ratePerClient) }),
})

function aGuard() {
  const clock = new HandClock()
  const guard = new Guard({ clock, apps: new Buckets(), clients: new Buckets() })
  /** The outcome of a request: admitted, refused, or the milliseconds to wait. */
  const ask = (access: Access, client: string, app = blog): 'in' | 'out' | number => {
    try {
      guard.admit(app, access, client)
      return 'in'
    } catch (error) {
      if (isFailure(error, 'not-allowed')) return 'out'
      if (isFailure(error, 'rate-limited')) return error.details.retryAfterMs ?? Number.NaN
      throw error
    }
  }
  return { clock, ask }
}

describe('the lists', () => {
  for (const [said, client, wanted] of [
    [{}, '1.2.3.4', 'in'],
    [{ deny: ['1.2.3.4'] }, '1.2.3.4', 'out'],
    [{ deny: ['1.2.3.4'] }, '1.2.3.5', 'in'],
    [{ deny: ['1.2.3.0/24'] }, '1.2.3.255', 'out'],
    [{ deny: ['1.2.3.0/24'] }, '1.2.4.0', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '10.255.255.255', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '11.0.0.0', 'out'],
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.1.2.3', 'out'],
    [{ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] }, '10.2.2.3', 'in'],
    [{ allow: ['::ffff:10.0.0.0/104'] }, '10.1.2.3', 'in'],
    [{ allow: ['10.0.0.0/8'] }, '2001:db8::1', 'out'],
    [{ allow: ['2001:db8::/32'] }, '2001:db8:ffff::1', 'in'],
    [{ allow: ['2001:db8::/32'] }, '2001:db9::1', 'out'],
    [{ deny: ['::/0'] }, '2001:db8::1', 'out'],
    [{ deny: ['::/0'] }, '1.2.3.4', 'in'],
    [{ deny: ['0.0.0.0/0'] }, '1.2.3.4', 'out'],
    [{ deny: ['0.0.0.0/0'] }, '2001:db8::1', 'in'],
    [{ deny: ['fe80::/10'] }, 'fe80::1%eth0', 'out'],
    [{ allow: ['0.0.0.0/0', '::/0'] }, 'unknown', 'out'],
    [{ deny: ['0.0.0.0/0', '::/0'] }, 'unknown', 'in'],
  ] as const)
    test(`with ${JSON.stringify(said)}, ${client} is ${wanted}`, () => {
      const { ask } = aGuard()
      assert.equal(ask(rules(said as object), client), wanted)
    })
})

describe('the rates', () => {
  test('let a burst through, then as many as they say, and tell when the next may come', async () => {
    const { ask, clock } = aGuard()
    const access = rules({ rate: '2/s burst 3' })
    assert.deepEqual(
      [1, 2, 3, 4].map(n => ask(access, `10.0.0.${n}`)),
      ['in', 'in', 'in', 500],
    )
    await clock.advance(499)
    assert.equal(ask(access, '10.0.0.1'), 1)
    await clock.advance(1)
    assert.deepEqual([ask(access, '10.0.0.1'), ask(access, '10.0.0.1')], ['in', 500])
  })

  test('of each client do not take from others, and one client of IPv6 is a /64', () => {
    const { ask } = aGuard()
    const access = rules({ ratePerClient: '1/m' })
    for (const client of ['10.0.0.1', '10.0.0.2', '2001:db8:0:1::1', '2001:db8:0:2::1'])
      assert.deepEqual([ask(access, client), ask(access, client)], ['in', 60_000], client)
    assert.equal(ask(access, '2001:db8:0:1:ffff::2'), 60_000)
  })

  test('of one app do not take from another', () => {
    const { ask } = aGuard()
    const access = rules({ rate: '1/h', ratePerClient: '1/h' })
    assert.equal(ask(access, '10.0.0.1'), 'in')
    assert.equal(ask(access, '10.0.0.1', appName('shop')), 'in')
    assert.equal(ask(access, '10.0.0.1'), 3_600_000)
  })

  for (const [which, said] of [
    ['client', { rate: '9/m', ratePerClient: '1/m' }],
    ['app', { rate: '1/m', ratePerClient: '9/m' }],
  ] as const) {
    test(`say which of them was reached: that of the ${which}`, () => {
      const guard = new Guard({ clock: new HandClock(), apps: new Buckets(), clients: new Buckets() })
      const access = rules(said)
      guard.admit(blog, access, '10.0.0.1')
      assert.throws(
        () => guard.admit(blog, access, '10.0.0.1'),
        error => isFailure(error, 'rate-limited') && error.details.facts?.['rate'] === which,
      )
    })
  }

  test('are not used up by who may not come in, nor that of all by a client that is over its own', () => {
    const { ask } = aGuard()
    const access = rules({ deny: ['10.0.0.9'], rate: '2/m', ratePerClient: '1/m' })
    assert.deepEqual(
      ['10.0.0.9', '10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.0.3'].map(client => ask(access, client)),
      ['out', 'in', 60_000, 60_000, 'in', 30_000],
    )
  })

  test('go on over rules that are said anew', () => {
    const { ask } = aGuard()
    assert.equal(ask(rules({ rate: '1/m' }), '10.0.0.1'), 'in')
    assert.equal(ask(rules({ rate: '1/m', deny: ['1.1.1.1'] }), '10.0.0.1'), 60_000)
  })

  test('of fronts that share the memory are counted together', () => {
    const apps = new Buckets()
    const clients = new Buckets()
    const clock = new HandClock()
    const one = new Guard({ clock, apps, clients })
    const other = new Guard({ clock, apps: new Buckets(apps.memory), clients: new Buckets(clients.memory) })
    const access = rules({ rate: '1/m' })
    one.admit(blog, access, '10.0.0.1')
    assert.throws(() => other.admit(blog, access, '10.0.0.2'), /blog is asked more than 1\/m/)
  })
})

describe('a front', () => {
  const get = (path: string, from: string, more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: blog.localhost\r\nX-Forwarded-For: ${from}\r\n${more}\r\n`

  async function front(access: Access) {
    const app = await httpApp((_request, response) => response.end('served'))
    const apps = [{ ...anApp('blog', ['blog.localhost']), access }]
    const master = await masterOf(apps, [aNode('one', '127.0.0.1:1')])
    const connector = new FakeConnector(() => ({ address: app.address }))
    connector.phases = ['awake']
    const settings = { SHADOW_TRUSTED_PROXIES: '127.0.0.1' }
    const opened = await aFront({ master: master.url, connector, settings })
    const ask = async (path: string, from: string, more = ''): Promise<string> => {
      using client = new RawClient(opened.port, get(path, from, `Connection: close\r\n${more}`))
      return await client.closed()
    }
    const end = async () => {
      for (const one of [opened, master, app]) await one[Symbol.asyncDispose]()
    }
    return { ...opened, apps, connector, ask, [Symbol.asyncDispose]: end }
  }

  const BROWSER = 'Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n'
  const UPGRADE =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n'

  for (const [what, path, more] of [
    ['a request', '/', ''],
    ["a browser's request", '/', BROWSER],
    ['the waiting page', '/.shadow/events', ''],
    ['a WebSocket', '/', UPGRADE],
  ] as const) {
    test(`refuses ${what} of a client that may not use the app, and wakes nothing`, async () => {
      await using on = await front(rules({ deny: ['203.0.113.0/24'] }))
      using client = new RawClient(on.port, get(path, '203.0.113.9', more))
      const answer = await client.until(/}\n|<\/html>/)
      assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*x-shadow-error: not-allowed\r\n/i)
      assert.match((await on.metrics.text()).body, /^shadow_errors_total\{daemon="front",code="not-allowed"\} 1$/m)
      assert.deepEqual([on.connector.holdRequests.length, on.connector.follows], [0, 0])
      assert.match(await on.ask('/', '198.51.100.1'), /^HTTP\/1\.1 200/)
    })

    test(`refuses ${what} over the rate, says when to come again, and wakes nothing`, async () => {
      await using on = await front(rules({ ratePerClient: '1/m' }))
      assert.match(await on.ask('/', '203.0.113.9'), /^HTTP\/1\.1 200/)
      on.connector.holdRequests.length = 0
      using client = new RawClient(on.port, get(path, '203.0.113.9', more))
      const answer = await client.until(/}\n|<\/html>/)
      assert.match(answer, /^HTTP\/1\.1 429 [\s\S]*x-shadow-error: rate-limited\r\n/i)
      assert.match(answer, /retry-after: 60\r\n/i)
      assert.match((await on.metrics.text()).body, /^shadow_errors_total\{daemon="front",code="rate-limited"\} 1$/m)
      assert.deepEqual([on.connector.holdRequests.length, on.connector.follows], [0, 0])
      await on.clock.advance(60_000)
      assert.match(await on.ask('/', '203.0.113.9'), /^HTTP\/1\.1 200/)
    })
  }

  test('knows a client by the proxy that is trusted, not by what the client says', async () => {
    await using on = await front(rules({ allow: ['10.0.0.0/8'] }))
    assert.match(await on.ask('/', '10.0.0.1, 203.0.113.9'), /^HTTP\/1\.1 403/)
    assert.match(await on.ask('/', '203.0.113.9, 10.0.0.1'), /^HTTP\/1\.1 200/)
  })

  test('tells a browser on a page', async () => {
    await using on = await front(rules({ deny: ['203.0.113.9'] }))
    const answer = await on.ask('/', '203.0.113.9', BROWSER)
    assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*text\/html[\s\S]*You may not see this site/i)
  })

  test('heeds new rules as soon as it has heard of them', async () => {
    await using on = await front(rules({ deny: ['203.0.113.9'] }))
    assert.match(await on.ask('/', '203.0.113.9'), /^HTTP\/1\.1 403/)
    on.apps[0] = anApp('blog', ['blog.localhost']) as (typeof on.apps)[0]
    await on.clock.advance(15_000)
    let answer = ''
    while (!answer.startsWith('HTTP/1.1 200')) answer = await on.ask('/', '203.0.113.9')
  })

  test('started while the master is away keeps the rules that it knew', async () => {
    const master = await masterOf(
      [{ ...anApp('blog', ['blog.localhost']), access: rules({ deny: ['127.0.0.1'] }) }],
      [],
    )
    const on = { master: master.url, data: dataFolder() }
    const answer = async (): Promise<string> => {
      await using front = await aFront(on)
      using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n')
      return await client.closed()
    }
    assert.match(await answer(), /^HTTP\/1\.1 403/)
    await master[Symbol.asyncDispose]()
    assert.match(await answer(), /^HTTP\/1\.1 403 [\s\S]*"code":"not-allowed"/)
  })
})
