import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { aFront, aNode, aNodeListener, anApp, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, rawApp, until } from '../testing/wire.ts'

const WORKERS = { SHADOW_WORKERS: '2' }
const GET = 'GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n'
const hello = () => httpApp((_request, response) => response.end('hello'))
const status = (text: string): string => text.slice(9, 12)

/** The answers to this many clients, each on its own connection. */
async function visit(port: number, visitors: number, request = GET): Promise<string[]> {
  const clients = Array.from({ length: visitors }, () => new RawClient(port, request))
  await Promise.all(clients.map(client => client.until('\r\n\r\n')))
  for (const client of clients) client[Symbol.dispose]()
  return clients.map(({ text }) => text)
}

test('all workers serve on one port, each reaching the node by connections of its own', async () => {
  await using app = await hello()
  await using node = await aNodeListener(app)
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('a', node.address)])
  await using front = await aFront({ master: master.url, settings: WORKERS })
  let most = 0
  for (let round = 0; round < 40; round++) {
    // The clients come one at a time: a single worker would use one connection for all.
    assert.deepEqual((await visit(front.port, 1)).map(status), ['200'])
    most = Math.max(most, node.sockets.size)
  }
  assert.equal(node.served.length, 40)
  assert.ok(most >= 2, `${most} connections to the node`)
  // Each worker asked the main thread, and the main thread asked the master once.
  assert.equal(master.calls.filter(({ name }) => name === 'getHost').length, 1)
})

test('a port that somebody has is not shared with them', async () => {
  await using somebody = await hello()
  await using master = await masterOf([], [])
  const listen = `127.0.0.1:${somebody.port}`
  await assert.rejects(
    aFront({ master: master.url, settings: { ...WORKERS, SHADOW_LISTEN: listen } }),
    (error: ShadowError) => error.code === 'bad-input' && error.message.includes('in use'),
  )
})

test('the port of a front with workers is not to be had by another', async () => {
  await using master = await masterOf([], [])
  await using front = await aFront({ master: master.url, settings: WORKERS })
  const listen = `127.0.0.1:${front.port}`
  await assert.rejects(
    aFront({ master: master.url, settings: { ...WORKERS, SHADOW_LISTEN: listen } }),
    (error: ShadowError) => error.code === 'bad-input',
  )
})

test('an unknown hostname is told as ever', async () => {
  await using master = await masterOf([], [])
  await using front = await aFront({ master: master.url, settings: WORKERS })
  const [answer = ''] = await visit(front.port, 1, GET.replace('blog', 'nobody'))
  assert.equal(status(answer), '404')
  assert.match(answer, /x-shadow-error: host-unknown/i)
})

test('what one worker learns of where an app is, all know', async () => {
  await using app = await hello()
  const blog = anApp('blog', ['blog.localhost'], 'blog')
  let home = 'a'
  const elsewhere = (name: string) => () =>
    home === name ? undefined : new ShadowError('volume-elsewhere', 'it moved', { facts: { node: home } })
  await using a = await aNodeListener(app, elsewhere('a'))
  await using b = await aNodeListener(app, elsewhere('b'))
  await using master = await masterOf([blog], [aNode('a', a.address), aNode('b', b.address)])
  await using front = await aFront({ master: master.url, settings: WORKERS })
  await visit(front.port, 20)
  home = 'b'
  await visit(front.port, 1) // one worker learns of the move
  const asked = a.asked.length
  await visit(front.port, 20)
  assert.equal(a.asked.length, asked)
  assert.equal(a.served.length + b.served.length, 41)
})

test('connections of all workers count together', { timeout: 30_000 }, async () => {
  await using app = await rawApp(() => undefined)
  await using node = await aNodeListener(app)
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('a', node.address)])
  const settings = { ...WORKERS, SHADOW_CONNECTIONS_PER_ADDRESS: '10' }
  await using front = await aFront({ master: master.url, settings })
  const clients = Array.from({ length: 30 }, () => connect({ port: front.port, host: '127.0.0.1' }))
  let ended = 0
  for (const client of clients)
    client
      .on('error', () => undefined)
      .on('close', () => ended++)
      .resume()
  await until(() => ended === 20)
  for (const client of clients) client.destroy()
})

test('the rate of an app counts over all workers, and who is denied is so at each', async () => {
  await using app = await hello()
  await using node = await aNodeListener(app)
  const access = (said: object): App['access'] => ({ allow: [], deny: [], ...said })
  const apps = [
    { ...anApp('blog', ['blog.localhost']), access: access({ rate: '10/h' }) },
    { ...anApp('shut', ['shut.localhost']), access: access({ deny: ['127.0.0.1'] }) },
  ]
  await using master = await masterOf(apps, [aNode('a', node.address)])
  await using front = await aFront({ master: master.url, settings: WORKERS })
  const statuses = (await visit(front.port, 30)).map(status)
  assert.equal(statuses.filter(one => one === '200').length, 10)
  assert.equal(statuses.filter(one => one === '429').length, 20)
  const denied = await visit(front.port, 10, GET.replace('blog', 'shut'))
  assert.deepEqual([...new Set(denied.map(status))], ['403'])
  assert.equal(node.served.length, 10)
})

test('requests in flight are finished when the front ends', async () => {
  const answers: (() => void)[] = []
  await using app = await httpApp((_request, response) => {
    response.write('some')
    answers.push(() => response.end('end'))
  })
  await using node = await aNodeListener(app)
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('a', node.address)])
  const front = await aFront({ master: master.url, settings: WORKERS })
  const clients = Array.from({ length: 6 }, () => new RawClient(front.port, GET))
  await Promise.all(clients.map(client => client.until('some')))
  const ended = front[Symbol.asyncDispose]()
  for (const answer of answers) answer()
  await Promise.all(clients.map(client => client.until('end')))
  for (const client of clients) client[Symbol.dispose]()
  await ended
})
