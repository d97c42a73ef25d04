import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ShadowError } from '../lib/errors.ts'
import type { Held } from '../model/instance.ts'
import { FRONT_CHECKS_NODES_EVERY, NODE_LOST_AFTER } from '../model/intervals.ts'
import { withLastLines } from '../model/last-lines.ts'
import { aFront, aNode, aNodeListener, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, rawApp, recorder, until } from '../testing/wire.ts'

const BROWSER = 'Accept: text/html,*/*\r\nSec-Fetch-Mode: navigate\r\n'
const get = (host: string, headers = '', path = '/'): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`

const blog = () => masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', '127.0.0.1:1')])

test('a request reaches the app that has its hostname, however the hostname is written', async () => {
  await using app = await httpApp((request, response) => response.end(`<${request.headers.host} ${request.url}>`))
  await using master = await blog()
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  for (const host of ['blog.localhost', 'blog.localhost:8090', 'BLOG.Localhost.']) {
    using client = new RawClient(front.port, get(host, '', '/a?b'))
    assert.match(
      await client.until('>'),
      new RegExp(`^HTTP/1.1 200[\\s\\S]*x-shadow-node: one[\\s\\S]*<${host} /a\\?b>`, 'i'),
    )
  }
})

test('an app can neither be told our headers by a client, nor tell them to one', async () => {
  await using app = await httpApp((request, response) => {
    response.setHeader('X-Shadow-Error', 'app-crashed')
    response.end(`<${Object.keys(request.headers).filter(name => name.startsWith('x-shadow-'))}>`)
  })
  await using master = await blog()
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  using client = new RawClient(front.port, get('blog.localhost', 'X-Shadow-Key: a\r\nX-Shadow-App: b\r\n'))
  assert.doesNotMatch(await client.until('<>'), /x-shadow-error/i)
})

test('what a request waited for is told with its answer', async () => {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address, waited: { attach: 4, ready: 31.25 } }))
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, get('blog.localhost'))
  assert.match(await client.until('ok'), /server-timing: attach;dur=4, ready;dur=31\.3\r\n/i)
})

test('visitors get a code, a sentence and an id, and nothing that is for owners, whoever tells the front of it', async () => {
  const message = withLastLines('172.18.0.7:8000 of blog ended with exit code 1', ['SECRET=1'])
  const failure = new ShadowError('app-crashed', message, { hint: 'shadow logs blog', facts: { exitCode: 1 } })
  await using app = await httpApp((_request, response) => void response.end())
  await using node = await aNodeListener(app, () => failure)
  await using master = await blog()
  const answers: Partial<Held>[] = [{ address: node.address, isHop: true }]
  const connector = new FakeConnector(() => {
    const answer = answers.pop()
    if (answer === undefined) throw failure
    return answer
  })
  await using front = await aFront({ master: master.url, connector })
  for (const _way of ['a node', 'its own machine']) {
    using program = new RawClient(front.port, get('blog.localhost', 'Connection: close\r\n'))
    const answer = await program.closed()
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${failure.status} [\\s\\S]*x-shadow-state: crashed`))
    assert.doesNotMatch(answer, /SECRET|172\.|blog|shadow logs/)
    const { id, ...told } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    assert.match(id, /^[\w-]{36}$/)
    assert.deepEqual(told, {
      type: 'urn:shadow:app-crashed',
      title: 'This site does not work now',
      status: failure.status,
      code: 'app-crashed',
      detail: 'It ended unexpectedly, with exit code 1.',
      facts: { exitCode: 1 },
    })
    using browser = new RawClient(front.port, get('blog.localhost', `${BROWSER}Connection: close\r\n`))
    const page = await browser.closed()
    assert.match(page, /<p class="fact">\d+ \xc2\xb7 app-crashed \xc2\xb7 [\w-]{36}<\/p>/)
    assert.doesNotMatch(page, /SECRET|172\.|shadow logs/)
    assert.match(page, /^x-content-type-options: nosniff\r$/m)
    assert.match(page, /^content-security-policy: default-src 'none'; /m)
  }
  assert.equal(node.asked.length, 1)
})

test('a request at a node that answers no check any more fails, and does not wait for ever', async () => {
  let asked = 0
  await using app = await rawApp(socket => socket.on('data', () => asked++))
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address, isHop: true }))
  let checks = 0
  const check = async () => {
    checks++
    if (asked > 0) throw new Error('no answer')
    return { overall: false, overloaded: false }
  }
  await using front = await aFront({
    master: master.url,
    connector: Object.assign(connector, { check, hopTo: () => ({ address: app.address }) }),
  })
  using client = new RawClient(front.port, get('blog.localhost', 'Connection: close\r\n'))
  await until(() => asked === 1)
  while (!client.text.includes('HTTP')) {
    const before = checks
    await front.clock.advance(FRONT_CHECKS_NODES_EVERY)
    await until(() => checks > before)
  }
  assert.match(await client.closed(), /^HTTP\/1\.1 502 [\s\S]*x-shadow-error: node-unreachable\r\n/)
  assert.ok(front.clock.now() >= NODE_LOST_AFTER)
})

// Promise 7: states can be told apart from outside.
const states = [
  ['app-asleep', 409, 'asleep'],
  ['app-waking', 503, 'waking'],
  ['app-crashed', 502, 'crashed'],
  ['app-stuck', 503, 'stuck'],
  ['node-unreachable', 502, 'unreachable'],
  ['queue-full', 503, undefined],
] as const

for (const [code, status, state] of states) {
  test(`a failure is told by status, headers and body, to programs and to people: ${code}`, async () => {
    await using master = await blog()
    const connector = new FakeConnector(() => {
      throw new ShadowError(code, `blog: ${code}\nSECRET=1`, { retryAfterMs: 3_000 })
    })
    await using front = await aFront({ master: master.url, connector })
    using program = new RawClient(front.port, get('blog.localhost', 'Connection: close\r\n'))
    const answer = await program.closed()
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*x-shadow-error: ${code}\r\n`, 'i'))
    if (state !== undefined) assert.match(answer, new RegExp(`x-shadow-state: ${state}\r\n`, 'i'))
    assert.match(answer, /retry-after: 3\r\n/i)
    assert.match(answer, new RegExp(`application/problem\\+json[\\s\\S]*"code":"${code}"`))
    using person = new RawClient(front.port, get('blog.localhost', `Connection: close\r\n${BROWSER}`))
    const page = await person.closed()
    assert.match(
      page,
      new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*x-shadow-error: ${code}\r\n[\\s\\S]*<!doctype html>`, 'i'),
    )
    assert.doesNotMatch(page, /SECRET/, 'what the app wrote is not for visitors')
  })
}

for (const [what, head] of [
  ['one that no app has', get('nobody.localhost')],
  ['an address', get('127.0.0.1:8090')],
  ['none at all', 'GET / HTTP/1.0\r\n\r\n'],
]) {
  test(`a hostname that is unknown is told so: ${what}`, async () => {
    await using master = await blog()
    await using front = await aFront({ master: master.url, connector: new FakeConnector(() => ({})) })
    using client = new RawClient(front.port, head)
    assert.match(
      await client.until('host-unknown"'),
      /^HTTP\/1\.1 404 [\s\S]*x-shadow-state: unknown\r\nx-shadow-error: host-unknown|^HTTP\/1\.1 404 [\s\S]*x-shadow-error: host-unknown/i,
    )
  })
}

test('a browser that opens a page is shown the waiting page; everything else waits', async () => {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await blog()
  const connector = new FakeConnector(ask => {
    if (ask.patienceMs !== undefined) throw new ShadowError('app-waking', 'blog is being woken')
    return { address: app.address }
  })
  await using front = await aFront({ master: master.url, connector, settings: { SHADOW_WAITING_PAGE_AFTER: '700ms' } })
  for (const headers of ['', 'Accept: text/html\r\n', 'Accept: */*\r\nSec-Fetch-Mode: navigate\r\n']) {
    using client = new RawClient(front.port, get('blog.localhost', headers))
    assert.match(await client.until('ok'), /^HTTP\/1\.1 200/)
  }
  using browser = new RawClient(front.port, get('blog.localhost', BROWSER))
  assert.match(
    await browser.until('</html>'),
    /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*EventSource\("\/\.shadow\/events"\)/i,
  )
  assert.deepEqual(
    connector.holdRequests.map(ask => ask.patienceMs),
    [undefined, undefined, undefined, 700],
  )
})

test('the waiting page follows the wake to its end', async () => {
  await using master = await blog()
  const connector = new FakeConnector(() => ({}))
  const starting = { phase: 'waking', stage: 'starting', ms: 40 } as const
  connector.phases = ['waking', 'waking', starting, starting, { ...starting, stage: 'answering' }, 'awake']
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, get('blog.localhost', '', '/.shadow/events'))
  const told = await client.until(/\r\n0\r\n\r\n/)
  assert.match(told, /text\/event-stream/)
  assert.deepEqual(
    [...told.matchAll(/data: (.*)/g)].map(([, data]) => data),
    [
      '{"phase":"waking"}',
      '{"phase":"waking","stage":"starting","ms":40}',
      '{"phase":"waking","stage":"answering","ms":40}',
      '{"phase":"awake"}',
    ],
  )
  assert.equal(connector.holdRequests.length, 0, 'to look on is not to use')
})

test('a request may say that it must not wake the app, and what it is for is told', async () => {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, get('blog.localhost', 'X-Shadow-Wake: never\r\n', '/health?x'))
  await client.until('ok')
  const [ask] = connector.holdRequests
  assert.deepEqual([ask?.mayWake, ask?.kind, ask?.what], [false, 'request', 'GET /health from 127.0.0.1'])
})

test('an app is held from before its request to its last byte, and let go when the client leaves', async () => {
  const answers: (() => void)[] = []
  await using app = await httpApp((_request, response) => {
    response.write('some')
    answers.push(() => response.end('end'))
  })
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, get('blog.localhost'))
  await client.until('some')
  assert.equal(connector.held, 1)
  answers[0]?.()
  await client.until('end')
  await until(() => connector.held === 0)
  const second = new RawClient(front.port, get('blog.localhost'))
  await second.until('some')
  assert.equal(connector.held, 1)
  second.socket.destroy()
  await until(() => {
    void front.clock.advance(1_000) // after a FIN alone, the client may still read the rest
    return connector.held === 0
  })
})

test('a WebSocket holds its app until it closes', async () => {
  await using app = await httpApp(
    () => undefined,
    server => new WebSocketServer({ server }),
  )
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector })
  const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: { host: 'blog.localhost' } })
  await once(socket, 'open')
  assert.deepEqual([connector.held, connector.holdRequests[0]?.kind], [1, 'websocket'])
  socket.close()
  await until(() => connector.held === 0)
})

test('a front that stops tells WebSockets that it goes away', async () => {
  await using app = await httpApp(
    () => undefined,
    server => new WebSocketServer({ server }),
  )
  await using master = await blog()
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector })
  const socket = new WebSocket(`ws://127.0.0.1:${front.port}/`, { headers: { host: 'blog.localhost' } })
  await once(socket, 'open')
  const closed = once(socket, 'close')
  await front[Symbol.asyncDispose]()
  assert.equal((await closed)[0], 1001)
})

test('an app that died just now is asked for again before anybody is told', async () => {
  await using app = await httpApp((_request, response) => response.end('ok'))
  const gone = await rawApp(() => undefined)
  await gone[Symbol.asyncDispose]()
  await using master = await blog()
  const connector = new FakeConnector(() => ({
    address: connector.holdRequests.length === 1 ? gone.address : app.address,
  }))
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 3\r\n\r\nabc')
  assert.match(await client.until('ok'), /^HTTP\/1\.1 200/)
})

test('a request that the app has seen is never sent twice', async () => {
  let seen = 0
  await using app = await rawApp(socket =>
    socket.once('data', () => {
      seen += 1
      socket.destroy()
    }),
  )
  await using master = await blog()
  await using front = await aFront({
    master: master.url,
    connector: new FakeConnector(() => ({ address: app.address })),
  })
  using client = new RawClient(front.port, 'POST / HTTP/1.1\r\nHost: blog.localhost\r\nContent-Length: 3\r\n\r\nabc')
  assert.match(await client.until('"app-unreachable"'), /^HTTP\/1\.1 502 /)
  assert.equal(seen, 1)
})

test('what was wrong with an answer is told to the node, at once or in the middle', async () => {
  const faults: string[] = []
  await using app = await recorder('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx')
  await using odd = await recorder('HTTP/1.1 200 OK\r\nX-Odd: \0\r\n\r\n')
  await using master = await blog()
  const badAnswer = (fault: string): void => void faults.push(fault)
  const addresses = [odd.address, app.address]
  const connector = new FakeConnector(() => ({ address: addresses.shift() ?? '', badAnswer }))
  await using front = await aFront({ master: master.url, connector })
  using client = new RawClient(front.port, get('blog.localhost'))
  assert.match(await client.until('"app-bad-answer"'), /^HTTP\/1\.1 502 /)
  assert.match(faults[0] ?? '', /"X-Odd"$/)
  client.send(get('blog.localhost'))
  await client.closed()
  assert.match(faults[1] ?? '', /a chunk without a size$/)
})

test('a front that stops lets requests in flight finish, and takes no more', async () => {
  const answers: (() => void)[] = []
  await using app = await httpApp((_request, response) => void answers.push(() => response.end('late')))
  await using master = await blog()
  const front = await aFront({ master: master.url, connector: new FakeConnector(() => ({ address: app.address })) })
  using client = new RawClient(front.port, get('blog.localhost'))
  await until(() => answers.length === 1)
  const stopped = front[Symbol.asyncDispose]()
  using refused = new RawClient(front.port)
  await until(() => refused.error !== undefined)
  answers[0]?.()
  await client.until('late')
  await stopped
})
