import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { MASTER_CALL_IN_WAKE_WITHIN } from '../model/intervals.ts'
import { fakeMaster } from '../testing/fake-master.ts'
import { aFront, aNode, anApp, aRoute, dataFolder, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, until } from '../testing/wire.ts'

const hello = () => httpApp((_request, response) => response.end('ok'))

async function ask(port: number, host: string): Promise<string> {
  using client = new RawClient(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  return await client.closed()
}

const lookUps = (master: { calls: readonly { name: string }[] }): number =>
  master.calls.filter(({ name }) => name === 'getHost').length

test('a known app is answered without asking the master', async () => {
  await using app = await hello()
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  for (let round = 0; round < 5; round++) assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  assert.equal(lookUps(master), 1)
})

test('many first requests for a hostname share one look-up', async () => {
  await using app = await hello()
  const waiting = Promise.withResolvers<void>()
  const blog = aRoute('blog', ['blog.localhost'])
  await using master = await fakeMaster({
    getHost: async () => {
      await waiting.promise
      return blog
    },
    listNodes: () => ({ items: [aNode('one', '127.0.0.1:1')] }),
    changes: () => '',
  })
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  const asked = Array.from({ length: 50 }, () => ask(front.port, 'blog.localhost'))
  await until(() => lookUps(master) > 0)
  waiting.resolve()
  for (const answer of await Promise.all(asked)) assert.match(answer, /^HTTP\/1\.1 200/)
  assert.equal(lookUps(master), 1)
})

// Promise 5: apps keep serving when the master is away.
test('with the master away, known apps serve, unknown ones are told that it is, and a front started then knows what the last one knew', async () => {
  await using app = await hello()
  const master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  const connector = new FakeConnector(() => ({ address: app.address }))
  const data = dataFolder()
  {
    await using front = await aFront({ master: master.url, connector, data })
    assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
    await master[Symbol.asyncDispose]()
    await front.clock.advance(60_000)
    assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
    assert.match(await ask(front.port, 'other.localhost'), /^HTTP\/1\.1 503 [\s\S]*x-shadow-error: master-unreachable/i)
  }
  await using again = await aFront({ master: master.url, connector, data })
  assert.match(await ask(again.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
})

test('a hostname that no app has is not asked for at every request, but soon again', async () => {
  await using app = await hello()
  const apps = [anApp('blog', ['blog.localhost'])]
  await using master = await masterOf(apps, [aNode('one', '127.0.0.1:1')])
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  for (let round = 0; round < 5; round++) assert.match(await ask(front.port, 'new.localhost'), /^HTTP\/1\.1 404/)
  assert.equal(lookUps(master), 1)
  apps.push(anApp('new', ['new.localhost']))
  await front.clock.advance(2_000)
  assert.match(await ask(front.port, 'new.localhost'), /^HTTP\/1\.1 200/)
})

test('while no master says what is newest, a route that was not checked within the second is checked before it serves', async () => {
  await using app = await hello()
  const apps = [anApp('blog', ['blog.localhost'])]
  await using master = await masterOf(apps, [aNode('one', '127.0.0.1:1')])
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  await ask(front.port, 'blog.localhost')
  apps.pop()
  await front.clock.advance(15_000)
  assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 404/)
})

test('a master that is silent is waited for once; then known routes serve at once, and are asked about behind their requests', async () => {
  await using app = await hello()
  const blog = aRoute('blog', ['blog.localhost'])
  let silent: Promise<void> | undefined
  await using master = await fakeMaster({
    getHost: async () => {
      await silent
      return blog
    },
    listNodes: () => ({ items: [aNode('one', '127.0.0.1:1')] }),
    changes: () => '',
  })
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  await ask(front.port, 'blog.localhost')
  const speaks = Promise.withResolvers<void>()
  silent = speaks.promise
  await front.clock.advance(15_000)
  const first = ask(front.port, 'blog.localhost')
  await until(() => lookUps(master) === 2)
  await front.clock.advance(MASTER_CALL_IN_WAKE_WITHIN)
  assert.match(await first, /^HTTP\/1\.1 200/)
  for (let round = 0; round < 3; round++) assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  assert.equal(lookUps(master), 2)
  speaks.resolve()
})

test('a change that the master tells of is known before the route is old', async () => {
  await using app = await hello()
  const told = Promise.withResolvers<string>()
  const blog = aRoute('blog', ['blog.localhost'])
  let there = true
  await using master = await fakeMaster({
    getHost: () => {
      if (!there) throw new ShadowError('host-unknown', 'no app has the hostname blog.localhost')
      return blog
    },
    listNodes: () => ({ items: [aNode('one', '127.0.0.1:1')] }),
    changes: () => told.promise,
  })
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  there = false
  told.resolve(`data: ${JSON.stringify({ app: 'blog', revision: null, domains: ['blog.localhost'] })}\n\n`)
  let answer = ''
  while (!answer.startsWith('HTTP/1.1 404')) answer = await ask(front.port, 'blog.localhost')
})

test('hostnames that were never seen are looked up so many a second; known apps are served all the same', async () => {
  await using app = await hello()
  await using master = await masterOf(
    [anApp('blog', ['blog.localhost']), anApp('late', ['late.localhost'])],
    [aNode('one', '127.0.0.1:1')],
  )
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector, settings: { SHADOW_LOOK_UPS: '2' } })
  assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  for (let name = 0; name < 50; name++) assert.match(await ask(front.port, `n${name}.localhost`), /^HTTP\/1\.1 404/)
  assert.equal(lookUps(master), 20)
  assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  const { body } = await front.metrics.text()
  assert.match(body, /\nshadow_front_look_ups_refused_total(\{[^}]*\})? 31\n/)
  await front.clock.advance(500)
  assert.match(await ask(front.port, 'late.localhost'), /^HTTP\/1\.1 200/)
})

test('beyond that, a hostname that the front knew in an earlier run is looked up', async () => {
  await using app = await hello()
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])
  const connector = new FakeConnector(() => ({ address: app.address }))
  const data = dataFolder()
  {
    await using front = await aFront({ master: master.url, connector, data })
    assert.match(await ask(front.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
  }
  await using again = await aFront({ master: master.url, connector, data, settings: { SHADOW_LOOK_UPS: '1' } })
  for (let name = 0; name < 20; name++) await ask(again.port, `n${name}.localhost`)
  assert.match(await ask(again.port, 'blog.localhost'), /^HTTP\/1\.1 200/)
})

test('what cannot be a hostname of an app is refused without a look-up', async () => {
  await using master = await masterOf([], [])
  await using front = await aFront({ master: master.url, connector: new FakeConnector(() => ({})) })
  for (const host of ['127.0.0.1', 'a..b', '10.0.0.1:80', '-a.b'])
    assert.match(await ask(front.port, host), /^HTTP\/1\.1 404/)
  assert.equal(lookUps(master), 0)
})
