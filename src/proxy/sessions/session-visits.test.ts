import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { aFront, aNode, aNodeListener, anApp, FakeConnector, masterOf } from '../../testing/front.ts'
import { ANNS_TOKEN, aSession, BOBS_TOKEN, SESSION, SESSION_HOST, storedToken } from '../../testing/sessions.ts'
import { RawClient, recorder } from '../../testing/wire.ts'
import { inTests } from '../../testing/workers.ts'

const NAVIGATES = ['Accept: text/html', 'Sec-Fetch-Mode: navigate']
const EXPIRED = '2020-01-01T00:00:00.000Z' // by every clock: workers have that of the machine
const COOKIE = `Cookie: shadow_session=${ANNS_TOKEN}`
const inTwoHops = { hops: 2 }

/** A front with one session. `ask` sends a request and returns its answer; `app.seen` has what the session got. */
async function serving(
  changes: Parameters<typeof aSession>[0] = {},
  { hops = inTests.workers === '1' ? 1 : 2, settings = {} } = {},
) {
  const stack = new AsyncDisposableStack()
  const app = stack.use(await recorder())
  const node = stack.use(await aNodeListener(app))
  const apps = [aSession(changes)]
  const master = stack.use(await masterOf(apps, [aNode('one', node.address)]))
  const connector = new FakeConnector(() => ({ address: app.address }))
  const front = stack.use(await aFront({ master: master.url, settings, ...(hops === 1 && { connector }) }))
  return {
    app,
    apps,
    node,
    connector,
    front,
    async ask(line: string, ...headers: string[]): Promise<string> {
      const head = [`${line} HTTP/1.1`, `Host: ${SESSION_HOST}`, 'Connection: close', ...headers]
      using client = new RawClient(front.port, `${head.join('\r\n')}\r\n\r\n`)
      return await client.closed() // the client is disposed after it
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const code = (answer: string): string | undefined => /x-shadow-error: (\S+)/i.exec(answer)?.[1]
const status = (answer: string): number => Number(answer.slice(9, 12))

for (const hops of inTests.workers === '1' ? [1, 2] : [2]) {
  test(`the app gets the path without the token, and who visits, in ${hops} hop(s)`, async () => {
    await using session = await serving({}, { hops })
    assert.equal(status(await session.ask(`GET /${ANNS_TOKEN}/docs/a?b=/c/`)), 200)
    assert.match(session.app.seen.text, /^GET \/docs\/a\?b=\/c\/ HTTP\/1\.1\r\n/)
    assert.match(session.app.seen.text, /\r\nX-Verified-User: ann\r\n/)
    assert.match(session.app.seen.text, /\r\nX-Verified-Auth: \{"may":"write"\}\r\n/)
    assert.match(session.app.seen.text, new RegExp(`\r\nX-Verified-Path: /${ANNS_TOKEN}/docs/a\r\n`))
  })

  test(`strangers choose none of these headers, in any spelling, in ${hops} hop(s)`, async () => {
    await using session = await serving({ visitors: 'all', tokens: [] }, { hops })
    const fakes = ['X-Verified-User', 'x_verified_user', 'X-VERIFIED-Auth', 'X-Verified_Path', 'X-Shadow-Session']
    const answer = await session.ask('GET /a', ...fakes.map(name => `${name}: eve`), 'X-Mine: kept')
    assert.equal(status(answer), 200)
    assert.match(session.app.seen.text, /\r\nX-Mine: kept\r\n/)
    assert.match(session.app.seen.text, /\r\nX-Verified-Path: \/a\r\n/)
    assert.doesNotMatch(session.app.seen.text, /eve/)
  })

  test(`a WebSocket is admitted by its path and by its cookie, in ${hops} hop(s)`, async () => {
    await using session = await serving({}, { hops })
    const upgrade = ['Upgrade: websocket', 'X-Verified-User: eve']
    for (const [line, ...headers] of [[`GET /${ANNS_TOKEN}/live`], ['GET /live', COOKIE], [`GET /${ANNS_TOKEN}`]]) {
      session.app.seen.text = ''
      const head = [`${line} HTTP/1.1`, `Host: ${SESSION_HOST}`, 'Connection: Upgrade', ...upgrade, ...headers]
      using client = new RawClient(session.front.port, `${head.join('\r\n')}\r\n\r\n`)
      await client.until('ok')
      assert.match(session.app.seen.text, /^GET \/(live)? HTTP\/1\.1\r\n[\s\S]*\r\nUpgrade: websocket\r\n/)
      assert.match(session.app.seen.text, /\r\nX-Verified-User: ann\r\n/)
      assert.doesNotMatch(session.app.seen.text, /eve|shadow_session/)
    }
  })
}

test('a browser that opens a page by a link gets a cookie for its other requests; a program gets none', async () => {
  await using session = await serving()
  const cookie = /\r\nset-cookie: ([^\r]*)\r\n/i
  const page = await session.ask(`GET /${ANNS_TOKEN}/`, ...NAVIGATES)
  assert.equal(cookie.exec(page)?.[1], `shadow_session=${ANNS_TOKEN}; Path=/; HttpOnly; SameSite=Lax`)
  assert.doesNotMatch(await session.ask(`GET /${ANNS_TOKEN}/`), cookie)
  session.app.seen.text = ''
  const asset = await session.ask('GET /style.css', `Cookie: a=1; shadow_session=${ANNS_TOKEN}; b=2`)
  assert.equal(status(asset), 200)
  assert.doesNotMatch(asset, cookie)
  assert.match(session.app.seen.text, /^GET \/style\.css [\s\S]*\r\nCookie: a=1; b=2\r\n/)
  assert.match(session.app.seen.text, /X-Verified-User: ann\r\n/)
  session.app.seen.text = ''
  await session.ask('GET /style.css', COOKIE)
  assert.doesNotMatch(session.app.seen.text, /cookie/i)
})

test('by HTTPS the cookie is bound to the hostname, and one without that does not count', async () => {
  await using session = await serving({}, { settings: { SHADOW_TRUSTED_PROXIES: '127.0.0.1' } })
  const ask = (line: string, ...headers: string[]) => session.ask(line, 'X-Forwarded-Proto: https', ...headers)
  assert.match(
    await ask(`GET /${ANNS_TOKEN}/`, ...NAVIGATES),
    new RegExp(`set-cookie: __Host-shadow_session=${ANNS_TOKEN}; Path=/; HttpOnly; SameSite=Lax; Secure\r\n`, 'i'),
  )
  assert.equal(status(await ask('GET /a', COOKIE)), 401)
  // One of a neighbour under the same parent domain does not hide it.
  const both = `Cookie: __Host-shadow_session=${BOBS_TOKEN}; __Host-shadow_session=${ANNS_TOKEN}`
  assert.equal(status(await ask('GET /a', both)), 200)
  assert.doesNotMatch(session.app.seen.text, /cookie:/i)
})

test('/TOKEN alone is sent to /TOKEN/, with its query', async () => {
  await using session = await serving()
  assert.match(
    await session.ask(`GET /${ANNS_TOKEN}?a=//b`),
    new RegExp(`^HTTP/1\\.1 307 [\\s\\S]*location: /${ANNS_TOKEN}/\\?a=//b\r\n`),
  )
  assert.equal(session.app.seen.text, '')
})

test('a bearer that is a token of the session admits, and is not passed on; any other is the business of the app', async () => {
  await using session = await serving()
  assert.equal(status(await session.ask('GET /api', `Authorization: Bearer ${ANNS_TOKEN}`)), 200)
  assert.match(session.app.seen.text, /X-Verified-User: ann\r\n/)
  assert.doesNotMatch(session.app.seen.text, /authorization/i)
  session.app.seen.text = ''
  for (const own of ['Bearer a-token-of-the-app-itself', 'Basic abc']) {
    assert.equal(status(await session.ask('GET /api', COOKIE, `Authorization: ${own}`)), 200)
    assert.match(session.app.seen.text, new RegExp(`Authorization: ${own}\r\n`))
  }
})

test('without a token, with a wrong one or an expired one, no node is asked, and a browser sees a page', async () => {
  await using session = await serving({ tokens: [storedToken(ANNS_TOKEN, { until: EXPIRED })] })
  const refused = async (expected: string, line: string, ...headers: string[]): Promise<void> => {
    const answer = await session.ask(line, ...headers)
    assert.deepEqual([status(answer), code(answer)], [expected === 'token-missing' ? 401 : 403, expected], line)
    const page = await session.ask(line, ...headers, ...NAVIGATES)
    assert.match(page, /content-type: text\/html/)
    assert.doesNotMatch(page, new RegExp(`${SESSION}|${ANNS_TOKEN}`))
  }
  await refused('token-missing', 'GET /')
  await refused('token-missing', 'GET /docs/', 'Cookie: a=1', 'Authorization: Basic abc')
  await refused('token-refused', `GET /${BOBS_TOKEN}/`)
  await refused('token-refused', `GET /${ANNS_TOKEN}/`)
  await refused('token-refused', 'GET /', COOKIE)
  await refused('token-refused', 'GET /', `Authorization: Bearer ${BOBS_TOKEN}`)
  assert.match(await session.ask('GET /'), /\r\nwww-authenticate: Bearer\r\n/i)
  assert.equal(session.app.seen.text, '')
  assert.deepEqual([session.connector.held, session.node.asked], [0, []])
})

test('a link that has expired is refused also where a cookie would do; a path that looks like one is a path', async () => {
  const tokens = [storedToken(ANNS_TOKEN), storedToken(BOBS_TOKEN, { until: EXPIRED })]
  await using session = await serving({ tokens })
  assert.equal(code(await session.ask(`GET /${BOBS_TOKEN}/a`, COOKIE)), 'token-refused')
  assert.equal(status(await session.ask('GET /a-page-with-a-long-name/a', COOKIE)), 200)
  assert.match(session.app.seen.text, /^GET \/a-page-with-a-long-name\/a /)
})

for (const [what, changes] of [
  ['is being ended', { ending: { at: EXPIRED, reason: 'asked', kind: 'soft' } }],
  ['has passed its lifetime', { until: EXPIRED }],
  ['is open to all and is being ended', { visitors: 'all', ending: { at: EXPIRED, reason: 'swept', kind: 'soft' } }],
] as const)
  test(`a session that ${what} takes nobody, and says that it has ended`, async () => {
    await using session = await serving(changes)
    const answer = await session.ask(`GET /${ANNS_TOKEN}/`, ...NAVIGATES)
    assert.deepEqual([status(answer), code(answer)], [404, 'session-not-found'])
    assert.match(answer, /This session has ended/)
    assert.match(answer, /x-shadow-state: ended/i)
    assert.equal(session.app.seen.text, '')
  })

test('the hostname of a template has nothing, and no node is asked', async () => {
  await using master = await masterOf(
    [{ ...anApp('editor', ['editor.localhost']), template: { whenIdle: 'end', most: 1, visitors: 'token' } }],
    [aNode('one', '127.0.0.1:1')],
  )
  await using front = await aFront({ master: master.url })
  for (const [path, headers, says] of [
    ['/', `${NAVIGATES.join('\r\n')}\r\n`, /<h1>Nothing here/],
    ['/.shadow/events', '', /"code":"is-template"/],
    ['/robots.txt', 'Upgrade: websocket\r\n', /"code":"is-template"/],
  ] as const) {
    using client = new RawClient(
      front.port,
      `GET ${path} HTTP/1.1\r\nHost: editor.localhost\r\nConnection: close\r\n${headers}\r\n`,
    )
    const answer = await client.closed()
    assert.deepEqual([status(answer), code(answer)], [404, 'is-template'])
    assert.match(answer, says)
    assert.match(answer, /x-shadow-state: template/i)
  }
})

test('any other app keeps the headers and cookies that look like those of a session', async () => {
  await using app = await recorder()
  await using node = await aNodeListener(app)
  await using master = await masterOf([anApp('blog', ['blog.localhost'])], [aNode('one', node.address)])
  await using front = await aFront({ master: master.url })
  const head = `GET /${ANNS_TOKEN}/ HTTP/1.1\r\nHost: blog.localhost\r\n${COOKIE}\r\nX-Verified-User: me\r\n\r\n`
  using client = new RawClient(front.port, head)
  await client.until('ok')
  assert.match(app.seen.text, new RegExp(`^GET /${ANNS_TOKEN}/ [\\s\\S]*${COOKIE}\r\nX-Verified-User: me\r\n`))
})

test('a token that is revoked is refused at the next request, and a new one counts', async () => {
  await using session = await serving({}, inTwoHops)
  assert.equal(status(await session.ask(`GET /${ANNS_TOKEN}/`)), 200)
  session.apps[0] = { ...aSession({ tokens: [storedToken(BOBS_TOKEN, { user: 'bob' })] }), updatedAt: EXPIRED }
  let answer = ''
  // No master says what is newest, so a route that is a second old is asked for again.
  while (code(answer) !== 'token-refused') {
    await session.front.clock.advance(2_000)
    answer = await session.ask(`GET /${ANNS_TOKEN}/`)
  }
  assert.equal(status(await session.ask(`GET /${BOBS_TOKEN}/`)), 200)
})

// Workers of a front reach their nodes over HTTP, where the fake connector is not.
if (inTests.workers === '1') {
  test('pages of other origins read the state by a token; this wakes nothing', async () => {
    await using session = await serving({ until: '2127-01-01T00:00:00.000Z' })
    for (const [phases, state] of [
      [['awake'], 'ready'],
      [[{ phase: 'waking', stage: 'preparing' }, 'awake'], 'loading'],
      [[{ phase: 'waking', stage: 'starting' }], 'starting'],
      [[{ phase: 'waking', stage: 'answering' }], 'waiting'],
      [['asleep'], 'scheduled'],
      [['stopping'], 'ending'],
    ] as const) {
      session.connector.phases = [...phases]
      const answer = await session.ask(`GET /${ANNS_TOKEN}/.shadow/session`, 'Origin: https://elsewhere.example')
      assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\naccess-control-allow-origin: \*\r\n/i)
      assert.deepEqual(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), {
        session: SESSION,
        template: 'editor',
        state,
        until: '2127-01-01T00:00:00.000Z',
      })
    }
    assert.equal(status(await session.ask('GET /.shadow/session', `Authorization: Bearer ${ANNS_TOKEN}`)), 200)
    assert.deepEqual([session.connector.holdRequests, session.app.seen.text], [[], ''])
  })

  test('a browser whose session is being started sees the waiting page, which follows the wake by the cookie', async () => {
    await using app = await recorder()
    await using master = await masterOf([aSession()], [aNode('one', '127.0.0.1:1')])
    const connector = new FakeConnector(() => {
      throw new ShadowError('app-waking', 'it wakes')
    })
    connector.phases = [{ phase: 'waking', stage: 'starting' }, 'awake']
    await using front = await aFront({ master: master.url, connector })
    const ask = async (path: string, ...headers: string[]): Promise<string> => {
      const head = [`GET ${path} HTTP/1.1`, `Host: ${SESSION_HOST}`, 'Connection: close', ...headers]
      using client = new RawClient(front.port, `${head.join('\r\n')}\r\n\r\n`)
      return await client.closed()
    }
    const page = await ask(`/${ANNS_TOKEN}/`, ...NAVIGATES)
    assert.match(page, /^HTTP\/1\.1 503 [\s\S]*set-cookie: shadow_session=[\s\S]*<h1>Waking up/i)
    assert.match(await ask('/.shadow/events', COOKIE), /"stage":"starting"[\s\S]*"phase":"awake"/)
    assert.equal(status(await ask('/.shadow/events')), 401)
    assert.equal(app.seen.text, '')
  })
}

test('a preflight for the state is answered without a token, and refusals can be read by other origins', async () => {
  await using session = await serving()
  for (const path of ['/.shadow/session', `/${ANNS_TOKEN}/.shadow/session`]) {
    const answer = await session.ask(
      `OPTIONS ${path}`,
      'Origin: https://a.example',
      'Access-Control-Request-Method: GET',
    )
    assert.match(answer, /^HTTP\/1\.1 204 [\s\S]*access-control-allow-headers: authorization\r\n/i)
    assert.match(answer, /access-control-allow-origin: \*\r\n/i)
  }
  const refused = await session.ask(`GET /${BOBS_TOKEN}/.shadow/session`)
  assert.match(refused, /^HTTP\/1\.1 403 [\s\S]*access-control-allow-origin: \*\r\n/i)
  assert.equal(session.app.seen.text, '')
})
