import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import { test } from 'vitest'
import type { Access, Hsts } from '../model/access.ts'
import { certificatesFolder, putPair, selfSigned } from '../testing/certificates.ts'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { httpApp, RawClient, until } from '../testing/wire.ts'

const YEAR = '365d' as Hsts
const OPEN = { allow: [], deny: [] }
const TRUSTS = { SHADOW_TRUSTED_PROXIES: '127.0.0.1' }

/** Sends a request with these headers to a front whose app has these rules. Returns the answer and the number of holds. */
async function asked(
  lines: readonly string[],
  access: Partial<Access> = {},
  settings: Record<string, string> = {},
  request = 'GET /a?b',
) {
  await using app = await httpApp((_request, response) => response.end('ok'))
  await using master = await masterOf(
    [{ ...anApp('blog', ['blog.example']), access: { ...OPEN, ...access } }],
    [aNode('one', '127.0.0.1:1')],
  )
  const connector = new FakeConnector(() => ({ address: app.address }))
  await using front = await aFront({ master: master.url, connector, settings })
  const head = [`${request} HTTP/1.1`, 'Host: Blog.example:8090', 'Connection: close', ...lines].join('\r\n')
  using client = new RawClient(front.port, `${head}\r\n\r\n`)
  return { answer: await client.closed(), holds: connector.holdRequests.length }
}

test('plain HTTP is served, unless the app or the front says to send it on', async () => {
  for (const [access, setting, served] of [
    [undefined, undefined, true],
    [undefined, 'both', true],
    [undefined, 'redirect', false],
    ['redirect', undefined, false],
    ['both', 'redirect', true],
  ] as const) {
    const settings = setting === undefined ? {} : { SHADOW_HTTPS: setting }
    const { answer, holds } = await asked([], access && { https: access }, settings)
    assert.match(
      answer,
      served ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 301 [\s\S]*location: https:\/\/blog\.example\/a\?b\r\n/,
    )
    assert.equal(holds, served ? 1 : 0, 'nothing is woken to be sent on')
  }
})

test('what is no GET is sent on with its method and body', async () => {
  const { answer } = await asked(['Content-Length: 0'], { https: 'redirect' }, {}, 'POST /form')
  assert.match(answer, /^HTTP\/1\.1 308 [\s\S]*location: https:\/\/blog\.example\/form\r\n/)
})

test('who may not use the app is not sent on', async () => {
  const deny = ['127.0.0.1'] as unknown as Access['deny']
  assert.match((await asked([], { https: 'redirect', deny })).answer, /^HTTP\/1\.1 403 /)
})

for (const [how, line, secure] of [
  ['X-Forwarded-Proto', 'X-Forwarded-Proto: https', true],
  ['X-Forwarded-Proto beside X-Forwarded-For', 'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: HTTPS', true],
  ['Forwarded', 'Forwarded: for=1.2.3.4;proto=https', true],
  ['X-Forwarded-Proto: http', 'X-Forwarded-Proto: http', false],
  ['Forwarded of a proxy that got plain HTTP', 'Forwarded: proto=https;for=6.6.6.6, for=1.2.3.4;proto=http', false],
  ['nothing', 'X-None: 1', false],
] as const) {
  test(`a trusted proxy says whether a visitor came by HTTPS: ${how}`, async () => {
    const { answer } = await asked([line], { https: 'redirect', hsts: YEAR }, TRUSTS)
    assert.match(answer, secure ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 301 /)
    assert.equal(/^strict-transport-security: max-age=31536000\r$/im.test(answer), secure)
  })

  test(`and nobody believes it of a stranger: ${how}`, async () => {
    assert.match(
      (await asked([line], { https: 'redirect', hsts: YEAR })).answer,
      /^HTTP\/1\.1 301 (?![\s\S]*strict-transport)/i,
    )
  })
}

test("by HTTPS nothing is sent on; browsers are told to stay, once, by pages of ours too, and the port is this front's", async () => {
  const own = 'max-age=5'
  await using app = await httpApp((request, response) => {
    if (request.url === '/own') response.setHeader('Strict-Transport-Security', own)
    response.end('ok')
  })
  const access = { ...OPEN, https: 'redirect', hsts: YEAR } as Access
  await using master = await masterOf([{ ...anApp('blog', ['blog.example']), access }], [aNode('one', '127.0.0.1:1')])
  const connector = new FakeConnector(ask =>
    ask.what.includes('/fails') ? Promise.reject(new Error('boom')) : { address: app.address },
  )
  const folder = certificatesFolder()
  const certificate = selfSigned('blog.example')
  putPair(folder, 'blog.example', certificate)
  const settings = { SHADOW_TLS_LISTEN: '127.0.0.1:0', SHADOW_TLS_CERTIFICATES: folder }
  await using front = await aFront({ master: master.url, connector, settings })
  const port = front.tls?.port ?? 0
  for (const [path, status, expected] of [
    ['/', 200, 'max-age=31536000'],
    ['/own', 200, own],
    ['/fails', 500, 'max-age=31536000'],
  ] as const) {
    const socket = connect({ port, host: '127.0.0.1', servername: 'blog.example', ca: certificate.cert })
    let answer = ''
    socket.setEncoding('latin1').on('data', chunk => {
      answer += chunk
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: blog.example\r\nConnection: close\r\n\r\n`)
    await until(() => socket.readableEnded)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.deepEqual(
      answer.match(/^strict-transport-security: .*(?=\r$)/gim)?.map(line => line.slice(27)),
      [expected],
    )
  }
  using plain = new RawClient(front.port, 'GET /x HTTP/1.1\r\nHost: blog.example\r\nConnection: close\r\n\r\n')
  assert.match(await plain.closed(), new RegExp(`location: https://blog\\.example:${port}/x\r\n`))
})
