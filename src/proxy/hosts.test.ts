import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aFront, aNode, aNodeListener, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, type Opened, RawClient } from '../testing/wire.ts'

const HOSTS = { blog: 'blog.localhost', shop: 'xn--bcher-kva.example' }

/** An app that answers with its own name, the hostname and the target of the request. */
const says = (name: string): Promise<Opened> =>
  httpApp((request, response) => {
    request.resume().on('end', () => response.end(`<${name} ${request.headers.host} ${request.url}>`))
  })

/** A front with two apps: in one hop, or with a node between. */
async function twoApps(hops: 1 | 2) {
  const started = new AsyncDisposableStack()
  const apps = { blog: started.use(await says('blog')), shop: started.use(await says('shop')) }
  const connector = new FakeConnector(async (_ask, { name }) => {
    const { address } = apps[name as string as keyof typeof apps]
    if (hops === 1) return { address }
    const node = started.use(await aNodeListener({ address }))
    return { address: node.address, isHop: true }
  })
  const registered = Object.entries(HOSTS).map(([name, host]) => anApp(name, [host]))
  const master = started.use(await masterOf(registered, [aNode('one', '127.0.0.1:1')]))
  const front = started.use(await aFront({ master: master.url, connector }))
  return { port: front.port, connector, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

const get = (host: string, target: string): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
const post = (host: string, target: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`

const heard = (text: string): string[] => [...text.matchAll(/<[^>]*>/g)].map(([answer]) => answer)

for (const hops of [1, 2] as const) {
  test(`each request of a connection goes to the app that it names, whatever came before it: hops ${hops}`, async () => {
    await using front = await twoApps(hops)
    using client = new RawClient(front.port)
    const expected: string[] = []
    for (const [name, host, send] of [
      ['blog', HOSTS.blog, get],
      ['shop', HOSTS.shop, post],
      ['shop', HOSTS.shop, get],
      ['blog', HOSTS.blog, post],
      ['shop', `${HOSTS.shop.toUpperCase()}.:80`, get],
    ] as const) {
      client.send(send(host, `/${expected.length}`))
      expected.push(`<${name} ${host} /${expected.length}>`)
      await client.until(expected.at(-1) ?? '')
    }
    assert.deepEqual(heard(client.text), expected)
    assert.equal(front.connector.held, 0)
  })

  test(`so does each of those that come at once: hops ${hops}`, async () => {
    await using front = await twoApps(hops)
    const all = ['/0', '/1', '/2', '/3'].map((target, at) => ({
      target,
      name: at % 2 === 0 ? 'blog' : 'shop',
      host: at % 2 === 0 ? HOSTS.blog : HOSTS.shop,
      send: at < 2 ? get : post,
    }))
    using client = new RawClient(front.port, all.map(({ host, target, send }) => send(host, target)).join(''))
    await client.until('/3>')
    assert.deepEqual(
      heard(client.text),
      all.map(({ name, host, target }) => `<${name} ${host} ${target}>`),
    )
  })

  test(`and each behind a request of HTTP/1.0: hops ${hops}`, async () => {
    await using front = await twoApps(hops)
    const old = `GET /0 HTTP/1.0\r\nHost: ${HOSTS.blog}\r\nConnection: keep-alive\r\n\r\n`
    using client = new RawClient(front.port, old)
    await client.until('<blog blog.localhost /0>')
    client.send(get(HOSTS.shop, '/1') + post(HOSTS.blog, '/2'))
    await client.until('/2>')
    assert.deepEqual(heard(client.text).slice(1), [`<shop ${HOSTS.shop} /1>`, `<blog ${HOSTS.blog} /2>`])
  })
}

test('a URL for target names the app, Host beside it does not', async () => {
  await using front = await twoApps(1)
  using client = new RawClient(front.port, get(HOSTS.blog, `http://${HOSTS.shop}/a?b`))
  await client.until(`<shop ${HOSTS.shop} /a?b>`)
  client.send(get(HOSTS.blog, 'http://nobody.localhost/'))
  await client.until('"host-unknown"')
  assert.equal(front.connector.holdRequests.length, 1)
})

test('a hostname that is not known in the middle of a connection leaves the others served', async () => {
  await using front = await twoApps(1)
  using client = new RawClient(
    front.port,
    get(HOSTS.blog, '/0') + get('nobody.localhost', '/1') + get(HOSTS.shop, '/2'),
  )
  await client.until('/2>')
  assert.deepEqual(
    [...client.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ['200', '404', '200'],
  )
  assert.equal(front.connector.holdRequests.length, 2)
})
