import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { Access } from '../model/access.ts'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { RawClient, rawApp, until } from '../testing/wire.ts'

const get = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A front with two apps: one answers when the test says so, the other at once. */
async function fronted(access: Partial<Access>, settings: Record<string, string> = {}) {
  const stack = new AsyncDisposableStack()
  const hung: (() => void)[] = []
  const slow = stack.use(await rawApp(socket => socket.on('data', () => hung.push(() => socket.write(OK)))))
  const quick = stack.use(await rawApp(socket => socket.on('data', () => socket.write(OK))))
  const slowApp = { ...anApp('slow', ['slow.test']), access: { allow: [], deny: [], ...access } }
  const master = stack.use(await masterOf([slowApp, anApp('quick', ['quick.test'])], [aNode('a', '127.0.0.1:1')]))
  const connector = new FakeConnector((_ask, app) => ({ address: app.name === 'slow' ? slow.address : quick.address }))
  const front = stack.use(
    await aFront({ master: master.url, connector, settings: { SHADOW_WORKERS: '1', ...settings } }),
  )
  const ask = (host: string): RawClient => stack.use(new RawClient(front.port, get(host)))
  return { ask, hung, slow, front, connector, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('requests in flight at an app are bounded: more wait in order, too many are refused, and other apps answer', async () => {
  await using on = await fronted({ inFlight: 2 }, { SHADOW_WAITING_PER_APP: '1' })
  const served = [on.ask('slow.test'), on.ask('slow.test')]
  await until(() => on.hung.length === 2)
  const waits = on.ask('slow.test')
  const refused = on.ask('slow.test')
  await until(() => (waits.text + refused.text).includes('HTTP/1.1 503 '))
  assert.match(waits.text + refused.text, /x-shadow-error: queue-full/i)
  await on.ask('quick.test').until('200 OK')
  assert.equal(on.slow.sockets.size, 2)
  on.hung.shift()?.()
  await until(() => served.some(client => client.text.includes('200 OK')))
  await until(() => on.hung.length === 2)
  for (const answer of on.hung.splice(0)) answer()
  await until(() => [waits, refused].some(client => client.text.includes('200 OK')))
  assert.equal(on.slow.sockets.size, 2, 'the request that waited had a connection that was given back')
})

test('a client that leaves while it waits leaves nothing behind', async () => {
  await using on = await fronted({ inFlight: 1 }, { SHADOW_WAITING_PER_APP: '1' })
  on.ask('slow.test')
  await until(() => on.hung.length === 1)
  for (let round = 0; round < 5; round++) {
    const waits = on.ask('slow.test')
    const other = on.ask('slow.test')
    await until(() => (waits.text + other.text).includes('queue-full'))
    for (const client of [waits, other]) client.socket.resetAndDestroy()
  }
  let after = on.ask('slow.test')
  await until(() => {
    for (const answer of on.hung.splice(0)) answer()
    if (after.text.includes('queue-full')) after = on.ask('slow.test') // the front did not know yet that the others had left
    return after.text.includes('200 OK')
  })
})

test('streams for waiting pages of an app are bounded, take no place of its requests, and give theirs back', async () => {
  await using on = await fronted({ inFlight: 1 }, { SHADOW_CONNECTIONS: '8' })
  on.connector.phases = ['waking']
  on.connector.followsOn = true
  const follow = (): RawClient => new RawClient(on.front.port, get('slow.test').replace('/', '/.shadow/events'))
  using first = follow()
  await first.until('waking')
  {
    using second = follow()
    await second.until('waking')
    using third = follow()
    await third.until('HTTP/1.1 503 ')
    assert.match(third.text, /x-shadow-error: queue-full/i)
    const request = on.ask('slow.test')
    await until(() => on.hung.length === 1)
    on.hung.shift()?.()
    await request.until('200 OK')
    await on.ask('quick.test').until('200 OK')
  }
  let after = follow()
  await until(() => {
    if (after.ended || after.text.includes('queue-full')) {
      after[Symbol.dispose]()
      after = follow() // the front did not know yet that the second had left
    }
    return after.text.includes('waking')
  })
  after[Symbol.dispose]()
})

test('an app that does not begin its answer in time is answered for: 504 answer-late', async () => {
  await using on = await fronted({ answerWithin: '10s' as Access['answerWithin'] })
  const client = on.ask('slow.test')
  await until(() => on.hung.length === 1)
  await on.front.clock.advance(11_000)
  await client.until('HTTP/1.1 504 ')
  assert.match(client.text, /x-shadow-error: answer-late/i)
})
