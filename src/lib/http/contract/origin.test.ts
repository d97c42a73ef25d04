import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { RawClient, recorder } from '../../../testing/wire.ts'
import type { NextHop } from '../next-hop.ts'
import { forwardedOf, readForwarded } from '../wire/forwarded.ts'

/** The origin headers of a request, as the app received them. */
async function told(forwarded: NextHop['forwarded'], lines: readonly string[], version = '1.1'): Promise<string[]> {
  await using app = await recorder()
  await using front = await forwarding(app, { forwarded })
  using client = new RawClient(front.port, `GET / HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n`)
  await client.until('ok')
  return app.seen.text.split('\r\n').filter(line => /^(x-forwarded-|forwarded|via|x-real-ip)/i.test(line))
}

const HOST = 'Host: blog.localhost'
const SPOOFED = [
  'X-Forwarded-For: 6.6.6.6',
  'x-forwarded-proto: https',
  'X-Forwarded-Host: evil',
  'X-Forwarded-Port: 6',
  'Forwarded: for=6.6.6.6',
  'X-Real-IP: 6.6.6.6',
]
const OURS = [
  'X-Forwarded-For: 127.0.0.1',
  'X-Forwarded-Proto: http',
  'X-Forwarded-Host: blog.localhost',
  'Forwarded: for=127.0.0.1;host=blog.localhost;proto=http',
  'Via: 1.1 shadow',
]

test('an app is told where a request came from, and which way', async () => {
  assert.deepEqual(await told('replace', [HOST]), OURS)
})

test('what a stranger says of where it comes from is replaced', async () => {
  assert.deepEqual(await told('replace', [HOST, ...SPOOFED]), OURS)
})

test('what a stranger says is no less replaced where it names the header in Connection', async () => {
  const named = 'Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, X-Real-IP'
  assert.deepEqual(await told('replace', [HOST, named, ...SPOOFED]), OURS)
})

test('a host with a port is quoted in Forwarded', async () => {
  const [, , , forwarded] = await told('replace', ['Host: [::1]:8090'])
  assert.equal(forwarded, 'Forwarded: for=127.0.0.1;host="[::1]:8090";proto=http')
})

test('one connection tells of each host that it asks for', async () => {
  await using app = await recorder()
  await using front = await forwarding(app)
  using client = new RawClient(front.port)
  for (const host of ['a.example', 'b.example', 'c.example:80', 'b.example']) {
    app.seen.text = client.text = ''
    client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await client.until('ok')
    const quoted = host.includes(':') ? `"${host}"` : host
    assert(app.seen.text.includes(`X-Forwarded-Host: ${host}\r\nForwarded: for=127.0.0.1;host=${quoted};`))
  }
})

test('Via names the version that the request came in, after the ones that it passed before', async () => {
  const before = ['Via: 1.0 fred, 1.1 proxy.example', 'Via: 2 cdn (very, fast)']
  assert.deepEqual(
    (await told('replace', [HOST, ...before])).filter(line => line.startsWith('Via')),
    [...before, 'Via: 1.1 shadow'],
  )
  assert.equal((await told('replace', [HOST], '1.0')).at(-1), 'Via: 1.0 shadow')
})

test('the two hops of a request are one in Via and in what is told of the client', async () => {
  await using app = await recorder()
  await using node = await forwarding(app, { forwarded: 'keep' })
  await using front = await forwarding(node)
  using client = new RawClient(front.port, `GET / HTTP/1.1\r\n${HOST}\r\n\r\n`)
  await client.until('ok')
  for (const line of OURS) assert.equal(app.seen.text.split(`${line}\r\n`).length, 2, line)
})

test('an answer gets no Via, and keeps the one it came with', async () => {
  await using app = await recorder('HTTP/1.1 200 OK\r\nVia: 1.1 cache\r\nContent-Length: 2\r\n\r\nok')
  await using front = await forwarding(app)
  using client = new RawClient(front.port, `GET / HTTP/1.1\r\n${HOST}\r\n\r\n`)
  assert.deepEqual((await client.until('ok')).match(/^via.*$/gim), ['Via: 1.1 cache'])
})

test('a request that passed here five times is served, one more is a loop: 508', async () => {
  const via = (times: number) => ['Via: 1.1 other', ...Array.from({ length: times }, () => 'Via: 1.1 shadow')]
  assert.equal((await told('replace', [HOST, ...via(5)])).length, OURS.length + 6)
  await using app = await recorder()
  await using front = await forwarding(app)
  for (const version of ['1.1', '1.0']) {
    using client = new RawClient(
      front.port,
      `GET / HTTP/${version}\r\n${HOST}\r\nVia: ${'1.1 other, 1.1 shadow, '.repeat(6)}1.1 x\r\n\r\n`,
    )
    assert.match(await client.closed(), /^HTTP\/1\.1 508 [\s\S]*"code":"loop-detected"/)
  }
  assert.equal(app.seen.text, '')
})

test('what a trusted proxy says of where it comes from is kept, and the proxy added', async () => {
  assert.deepEqual(
    (
      await told('append', [
        HOST,
        'X-Forwarded-For: 1.1.1.1',
        'X-Forwarded-For: 2.2.2.2',
        'X-Forwarded-Proto: https',
        'Forwarded: for=1.1.1.1;proto=https, for=2.2.2.2',
        'X-Real-IP: 1.1.1.1',
      ])
    ).sort(),
    [
      'Forwarded: for=1.1.1.1;proto=https, for=2.2.2.2, for=127.0.0.1;host=blog.localhost;proto=http',
      'Via: 1.1 shadow',
      'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1',
      'X-Forwarded-Host: blog.localhost',
      'X-Forwarded-Proto: https',
      'X-Real-IP: 1.1.1.1',
    ],
  )
})

test('a trusted proxy that says nothing of the client is taken for it', async () => {
  assert.deepEqual((await told('append', [HOST])).sort(), [...OURS].sort())
})

test('a trusted proxy that knows X-Forwarded-* alone is not contradicted by a Forwarded of ours', async () => {
  assert.deepEqual((await told('append', [HOST, 'X-Forwarded-For: 1.1.1.1', 'X-Forwarded-Proto: https'])).sort(), [
    'Via: 1.1 shadow',
    'X-Forwarded-For: 1.1.1.1, 127.0.0.1',
    'X-Forwarded-Host: blog.localhost',
    'X-Forwarded-Proto: https',
  ])
})

for (const version of ['1.1', '1.0'])
  test(`what a trusted proxy says by Forwarded alone an app learns from X-Forwarded-*, too (HTTP/${version})`, async () => {
    const said = ['Forwarded: for="[2001:db8::9]:4711";proto=https', 'Forwarded: for=10.0.0.1;host=real.example']
    assert.deepEqual((await told('append', [HOST, ...said], version)).sort(), [
      'Forwarded: for="[2001:db8::9]:4711";proto=https, for=10.0.0.1;host=real.example, for=127.0.0.1;host=blog.localhost;proto=http',
      `Via: ${version} shadow`,
      'X-Forwarded-For: 2001:db8::9, 10.0.0.1, 127.0.0.1',
      'X-Forwarded-Host: real.example',
      'X-Forwarded-Proto: https',
    ])
  })

for (const [list, addresses] of [
  ['for=1.2.3.4, FOR="[2001:db8::1]:80"', ['1.2.3.4', '[2001:db8::1]:80']],
  ['for="a\\"b,c", for=1.1.1.1;by=x', ['a"b,c', '1.1.1.1']],
  ['for="6.6.6.6, for=1.2.3.4', ['1.2.3.4']], // an unclosed quote of the client does not hide the element that a proxy appended
  ['nonsense, for=9.9.9.9', ['9.9.9.9']],
  ['for=9.9.9.9, nonsense', []],
  [' ;; , for=unknown ;proto=https', ['unknown']],
  ['', []],
] as const)
  test(`Forwarded is read as RFC 7239 has it: ${list}`, () => {
    assert.deepEqual(
      readForwarded(list).map(({ address }) => address),
      addresses,
    )
  })

for (const forwarded of ['append', 'keep'] as const)
  test(`what a trusted proxy says cannot be dropped by naming it in Connection (${forwarded})`, async () => {
    const said = [
      'X-Forwarded-For: 1.1.1.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: real.example',
      'X-Forwarded-Port: 443',
      'Forwarded: for=1.1.1.1',
      'X-Real-IP: 1.1.1.1',
      'Via: 1.1 proxy',
    ]
    const names = said.map(line => line.split(':')[0])
    const got = await told(forwarded, [HOST, `Connection: close, ${names.join(',').toLowerCase()}`, ...said])
    for (const line of said)
      assert(
        got.some(each => each.startsWith(line)),
        `${line} in ${got.join('; ')}`,
      )
  })

for (const [address, element] of [
  ['192.0.2.1', 'for=192.0.2.1;host=a;proto=https'],
  ['2001:db8::1', 'for="[2001:db8::1]";host=a;proto=https'],
  ['fe80::1%eth0', 'for="[fe80::1]";host=a;proto=https'],
  ['unknown', 'for=unknown;host=a;proto=https'],
] as const)
  test(`Forwarded tells ${address} as RFC 7239 has it`, () => {
    assert.equal(forwardedOf({ address, proto: 'https', host: 'a' }), element)
  })

test('what could end a quoted text in Forwarded is escaped', () => {
  assert.equal(
    forwardedOf({ address: 'unknown', proto: 'http', host: 'a"b\\c' }),
    'for=unknown;host="a\\"b\\\\c";proto=http',
  )
})
