import assert from 'node:assert/strict'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { aFront, aNode, anApp, dataFolder, FakeConnector, masterOf } from '../../testing/front.ts'
import { httpApp } from '../../testing/wire.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const ROBOTS: Answer = (_request, response) => {
  response.setHeader('content-type', 'text/plain')
  response.setHeader('etag', '"1"')
  response.setHeader('x-other', 'not kept')
  response.end('User-agent: *\n')
}

/** A front with one app, which the test puts to sleep. */
async function setUp(
  answer: Answer = ROBOTS,
  { wake = {}, data = dataFolder() }: { wake?: object; data?: string } = {},
) {
  const stack = new AsyncDisposableStack()
  const app = stack.use(await httpApp(answer))
  const blog = { ...anApp('blog', ['blog.example.com']), wake: { ignore: [], answers: [], ...wake } }
  const master = stack.use(await masterOf([blog], [aNode('node-1', '127.0.0.1:1')]))
  const state = { code: undefined as 'app-asleep' | 'app-waking' | 'app-crashed' | undefined, woken: 0 }
  const connector = new FakeConnector(({ mayWake }) => {
    if (state.code !== undefined && !mayWake) throw new ShadowError(state.code, 'it does not serve')
    if (state.code !== undefined) state.woken += 1
    return { address: app.address, run: 'run' }
  })
  const front = stack.use(await aFront({ master: master.url, connector, data }))
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const given = { host: 'blog.example.com', connection: 'close', ...headers }
    request({ port: front.port, path, method, headers: given }, resolve).on('error', reject).end()
    const answer = await promise
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
  }
  return { ...front, blog, state, connector, ask, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('robots.txt is answered while the app sleeps by the last answer that the app gave', async () => {
  await using front = await setUp()
  assert.equal((await front.ask('/robots.txt')).body, 'User-agent: *\n')
  front.state.code = 'app-asleep'
  front.clock.pause(90_000)
  const answer = await front.ask('/robots.txt')
  assert.equal(answer.status, 200)
  assert.equal(answer.body, 'User-agent: *\n')
  const { headers } = answer
  assert.equal(headers['x-shadow-state'], 'asleep')
  assert.equal(headers['age'], '90')
  assert.match(String(headers['x-shadow-answered']), /^\d{4}-/)
  assert.equal(headers['content-type'], 'text/plain')
  assert.equal(headers['etag'], '"1"')
  assert.equal(headers['x-other'], undefined)
  const head = await front.ask('/robots.txt', {}, 'HEAD')
  assert.equal(head.headers['content-length'], '14')
  assert.equal(front.state.woken, 0)
})

test('without an answer of the app nothing is invented: the request wakes it', async () => {
  await using front = await setUp()
  front.state.code = 'app-asleep'
  assert.equal((await front.ask('/robots.txt')).status, 200)
  assert.equal(front.state.woken, 1)
})

test('an app that is awake gives its own answer, and such a request does not put its sleep off', async () => {
  let version = 0
  await using front = await setUp((_request, response) => response.end(`version ${++version}`))
  await front.ask('/robots.txt')
  assert.equal((await front.ask('/robots.txt')).body, 'version 2')
  assert.deepEqual(
    front.connector.holdRequests.map(({ mayWake, ignoredBy }) => ({ mayWake, ignoredBy })),
    [
      { mayWake: true, ignoredBy: undefined },
      { mayWake: false, ignoredBy: 'kept answer /robots.txt' },
    ],
  )
  front.state.code = 'app-waking'
  const answer = await front.ask('/robots.txt')
  assert.equal(answer.body, 'version 2')
  assert.equal(answer.headers['x-shadow-state'], 'waking')
})

test('a crash is told, whatever is kept', async () => {
  await using front = await setUp()
  await front.ask('/robots.txt')
  front.state.code = 'app-crashed'
  assert.equal((await front.ask('/robots.txt')).status, 502)
})

test('answers outlive a restart of the front, but neither a week nor a new revision of the app', async () => {
  const data = dataFolder()
  const keeps = async (change: (front: Awaited<ReturnType<typeof setUp>>) => void): Promise<boolean> => {
    await using front = await setUp(ROBOTS, { data })
    front.state.code = 'app-asleep'
    change(front)
    await front.ask('/robots.txt')
    return front.state.woken === 0
  }
  {
    await using front = await setUp(ROBOTS, { data })
    await front.ask('/robots.txt')
  }
  assert.equal(await keeps(() => undefined), true)
  assert.equal(await keeps(({ blog }) => Object.assign(blog.task, { revision: 2 })), false)
})

test('an answer that is older than a week is not given', async () => {
  await using front = await setUp()
  await front.ask('/robots.txt')
  front.state.code = 'app-asleep'
  front.clock.pause(7 * 86_400_000)
  await front.ask('/robots.txt')
  assert.equal(front.state.woken, 1)
})

test('paths that the owner names are kept too, by their exact path, and each hostname has its own', async () => {
  await using front = await setUp((_request, response) => response.end('ok'), { wake: { answers: ['/healthz'] } })
  await front.ask('/healthz')
  await front.ask('/other')
  front.state.code = 'app-asleep'
  assert.equal((await front.ask('/healthz')).body, 'ok')
  assert.equal(front.state.woken, 0)
  for (const path of ['/healthz?a', '/healthz/', '/other']) await front.ask(path)
  assert.equal(front.state.woken, 3)
})

describe('an answer that is not the same for everybody is not kept:', () => {
  const bodies: Readonly<Record<string, Answer>> = {
    'Set-Cookie': (_, response) => response.setHeader('set-cookie', 'a=b').end('x'),
    'Cache-Control: private': (_, response) => response.setHeader('cache-control', 'max-age=9, private').end('x'),
    'Cache-Control: no-store': (_, response) => response.setHeader('cache-control', 'no-store').end('x'),
    'Cache-Control: no-cache="x"': (_, response) => response.setHeader('cache-control', 'no-cache="x"').end('x'),
    'Vary: Cookie': (_, response) => response.setHeader('vary', 'accept-encoding, cookie').end('x'),
    'Vary: *': (_, response) => response.setHeader('vary', '*').end('x'),
    'a status other than 200': (_, response) => response.writeHead(404).end('x'),
    'a body of more than 64 KiB': (_, response) => response.end('x'.repeat(65_537)),
    'Content-Encoding': (_, response) => response.setHeader('content-encoding', 'gzip').end(''),
  }
  for (const [what, answer] of Object.entries(bodies))
    test(what, async () => {
      await using front = await setUp(answer)
      await front.ask('/robots.txt', { 'accept-encoding': 'identity' })
      front.state.code = 'app-asleep'
      await front.ask('/robots.txt')
      assert.equal(front.state.woken, 1)
    })
  for (const [name, value] of [
    ['cookie', 'a=b'],
    ['authorization', 'Basic eA=='],
    ['range', 'bytes=0-1'],
  ] as const)
    test(`one to a request with ${name}`, async () => {
      await using front = await setUp()
      await front.ask('/robots.txt', { [name]: value })
      front.state.code = 'app-asleep'
      await front.ask('/robots.txt')
      assert.equal(front.state.woken, 1)
    })
})

test('requests that a rule ignores do not wake the app, pass while it is awake, and name their rule', async () => {
  const wake = {
    ignore: [
      { path: '/wp-*' },
      { agent: 'badbot' },
      { method: 'HEAD', path: '/' },
      { network: '127.0.0.0/8', path: '/n' },
    ],
  }
  await using front = await setUp(ROBOTS, { wake })
  assert.equal((await front.ask('/wp-login.php')).status, 200)
  front.state.code = 'app-asleep'
  const ignored = [
    await front.ask('/%77p-login.php'),
    await front.ask('/', { 'user-agent': 'A BadBot/1' }),
    await front.ask('/', {}, 'HEAD'),
    await front.ask('/n'),
  ]
  for (const answer of ignored) {
    assert.equal(answer.status, 409)
    assert.equal(answer.headers['x-shadow-error'], 'app-asleep')
    assert.equal(answer.headers['x-shadow-state'], 'asleep')
  }
  assert.equal(front.state.woken, 0)
  assert.deepEqual(front.connector.holdRequests.map(({ ignoredBy }) => ignoredBy).slice(1), [
    'path:/wp-*',
    'agent:badbot',
    'path:/ method:HEAD',
    'path:/n network:127.0.0.0/8',
  ])
  assert.equal((await front.ask('/')).status, 200)
  assert.equal(front.state.woken, 1)
})
