import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'vitest'
import { AUTH_COUNTS_FOR } from '../../model/intervals.ts'
import { aFront, aNode, FakeConnector, masterOf } from '../../testing/front.ts'
import { ANNS_TOKEN, aSession, SESSION_HOST } from '../../testing/sessions.ts'
import { httpApp, RawClient, recorder } from '../../testing/wire.ts'

type Answering = (request: IncomingMessage, response: ServerResponse) => void

/** A front with a session whose template asks about visitors, and what was asked. */
async function serving(answering: Answering, changes: Parameters<typeof aSession>[0] = {}) {
  const stack = new AsyncDisposableStack()
  const asked: IncomingMessage[] = []
  const auth = stack.use(
    await httpApp((request, response) => {
      asked.push(request)
      answering(request, response)
    }),
  )
  const app = stack.use(await recorder())
  const authUrl = `http://${auth.address}/check?app=editor`
  const master = stack.use(await masterOf([aSession({ authUrl, ...changes })], [aNode('one', '127.0.0.1:1')]))
  const connector = new FakeConnector(() => ({ address: app.address }))
  const front = stack.use(await aFront({ master: master.url, connector }))
  return {
    app,
    asked,
    auth,
    front,
    async ask(line: string, ...headers: string[]): Promise<string> {
      const head = [`${line} HTTP/1.1`, `Host: ${SESSION_HOST}`, 'Connection: close', ...headers]
      using client = new RawClient(front.port, `${head.join('\r\n')}\r\n\r\n`)
      return await client.closed()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const admits: Answering = (_request, response) => response.setHeader('X-Verified-User', 'carl').end()

test('a visit without a token is asked about, with what it asks for; who is admitted is told to the app', async () => {
  await using session = await serving(admits)
  const fakes = ['X-Forwarded-Uri: /fake', 'X-Forwarded-For: 9.9.9.9', 'X-Verified-User: eve']
  const answer = await session.ask('POST /docs?a=b', 'Cookie: login=1', 'Content-Length: 0', ...fakes)
  assert.match(answer, /^HTTP\/1\.1 200 /)
  const [{ method, url, headers } = {} as IncomingMessage] = session.asked
  assert.deepEqual([method, url], ['GET', '/check?app=editor'])
  assert.deepEqual(
    ['method', 'proto', 'host', 'uri', 'for'].map(name => headers[`x-forwarded-${name}`]),
    ['POST', 'http', SESSION_HOST, '/docs?a=b', '127.0.0.1'],
  )
  assert.equal(headers.cookie, 'login=1')
  assert.match(session.app.seen.text, /^POST \/docs\?a=b [\s\S]*\r\nX-Verified-User: carl\r\n/)
  assert.doesNotMatch(session.app.seen.text, /eve/)
})

test('a visit by a token is not asked about; one by a token that counts no more is, and its cookie is not told', async () => {
  await using session = await serving(admits)
  await session.ask(`GET /${ANNS_TOKEN}/`)
  assert.deepEqual([session.asked.length, /X-Verified-User: ann\r\n/.test(session.app.seen.text)], [0, true])
  await session.ask('GET /', `Cookie: shadow_session=${'x'.repeat(43)}`)
  assert.deepEqual([session.asked.length, session.asked[0]?.headers.cookie], [1, undefined])
  assert.match(session.app.seen.text, /X-Verified-User: carl\r\n/)
})

test('any other answer goes to the visitor with its cookies, and no node is asked', async () => {
  await using session = await serving((_request, response) =>
    response
      .writeHead(302, { location: 'https://login.example/', 'set-cookie': ['a=1', 'b=2'], 'x-own': '1' })
      .end('go'),
  )
  const answer = await session.ask('GET /', 'Cookie: old=1')
  assert.match(answer, /^HTTP\/1\.1 302 [\s\S]*location: https:\/\/login\.example\/\r\n[\s\S]*go$/i)
  assert.deepEqual(
    answer.match(/^set-cookie: .*$/gim)?.map(line => line.trim().toLowerCase()),
    ['set-cookie: a=1', 'set-cookie: b=2'],
  )
  assert.doesNotMatch(answer, /x-own/)
  await session.ask('GET /', 'Cookie: old=1')
  assert.equal(session.asked.length, 2, 'a refusal is not kept')
  assert.equal(session.app.seen.text, '')
})

test('a consent counts for some seconds for the same cookies', async () => {
  await using session = await serving(admits)
  for (const path of ['/', '/style.css']) await session.ask(`GET ${path}`, 'Cookie: login=1')
  assert.equal(session.asked.length, 1)
  await session.ask('GET /', 'Cookie: login=2')
  assert.equal(session.asked.length, 2)
  await session.ask('GET /')
  await session.ask('GET /')
  assert.equal(session.asked.length, 4, 'without cookies each visit is asked about')
  await session.front.clock.advance(AUTH_COUNTS_FOR)
  await session.ask('GET /', 'Cookie: login=1')
  assert.equal(session.asked.length, 5)
})

test('a session that asks for no token asks about each visitor too', async () => {
  await using session = await serving((_request, response) => response.writeHead(401).end(), {
    visitors: 'all',
    tokens: [],
  })
  assert.match(await session.ask('GET /'), /^HTTP\/1\.1 401 /)
  assert.equal(session.app.seen.text, '')
})

test('an URL that does not answer admits nobody', async () => {
  await using session = await serving(request => request.socket.destroy())
  for (const cookie of ['', 'Cookie: login=1'])
    assert.match(
      await session.ask('GET /', ...(cookie === '' ? [] : [cookie])),
      /^HTTP\/1\.1 503 [\s\S]*"code":"auth-unreachable"/,
    )
  assert.equal(session.app.seen.text, '')
})
