import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { RawClient, recorder, until } from '../../../testing/wire.ts'

// CGI and WSGI put `X-Forwarded-For` and `X_Forwarded_For` into the same variable (RFC 3875, 4.1.18).
const SPOOFED = [
  'X_Forwarded_For',
  'X-Forwarded_For',
  'x_forwarded_proto',
  'X_Forwarded-Host',
  'X_FORWARDED_PORT',
  'X-Forwarded_Anything',
  'X_Real_IP',
  'X_Shadow_App',
  'x-shadow_key',
  'Content_Length',
  'Transfer_Encoding',
  'Proxy_Authorization',
  'Keep_Alive',
  'Proxy',
  'PROXY',
]
const KEPT = ['X_Mine', 'My_Proxy', 'Proxy2', 'X_Forward', 'Forwarded_By', 'X_Shadowed']
const LINES = [...SPOOFED, ...KEPT].map(name => `${name}: 6\r\n`).join('')
const PATHS = {
  'HTTP/1.1': `GET / HTTP/1.1\r\nHost: a\r\n${LINES}\r\n`,
  'HTTP/1.0': `GET / HTTP/1.0\r\nHost: a\r\n${LINES}\r\n`,
  'an upgrade': `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n${LINES}\r\n`,
  trailers: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${LINES}\r\n`,
}

function judge(seen: string): void {
  for (const name of SPOOFED) assert.doesNotMatch(seen, new RegExp(`^${name}: 6`, 'im'))
  for (const name of KEPT) assert.match(seen, new RegExp(`^${name}: 6`, 'im'))
}

for (const [path, request] of Object.entries(PATHS))
  for (const forwarded of ['replace', 'append', 'keep'] as const)
    test(`what apps may take for a header of ours is dropped from a request by ${path} (${forwarded})`, async () => {
      await using app = await recorder()
      await using front = await fastForwarding()(app, { strip: 'x-shadow-', forwarded })
      using client = new RawClient(front.port, request)
      await client.until('ok')
      await until(() => /X_Shadowed: 6\r\n[\s\S]*\r\n$/i.test(app.seen.text))
      judge(app.seen.text)
    })

test('and by HTTP/2', async () => {
  await using app = await recorder()
  await using front = await streaming(app, { strip: 'x-shadow-' })
  using client = front.client()
  const headers = [...SPOOFED, ...KEPT].map(name => [name.toLowerCase(), '6'])
  await client.ask({ ':path': '/', ...Object.fromEntries(headers) })
  judge(app.seen.text)
})

test('of an answer they pass', async () => {
  await using app = await recorder(`HTTP/1.1 200 OK\r\nX_Forwarded_For: 6\r\nProxy: 6\r\nContent-Length: 2\r\n\r\nok`)
  await using front = await fastForwarding()(app, { strip: 'x-shadow-' })
  using client = new RawClient(front.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(await client.until('ok'), /X_Forwarded_For: 6\r\nProxy: 6\r\n/)
})
