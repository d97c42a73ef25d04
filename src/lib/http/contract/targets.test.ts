import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../../testing/forwarding.ts'
import { RawClient, recorder } from '../../../testing/wire.ts'

for (const [line, host, expected] of [
  ['GET http://b.example/x?y HTTP/1.1', 'a', 'GET /x?y HTTP/1.1\r\nHost: b.example\r\n'],
  ['GET http://a.example:80?q HTTP/1.1', 'A.example:80', 'GET /?q HTTP/1.1\r\nHost: a.example:80\r\n'],
  ['GET HTTPS://a.example HTTP/1.1', 'a.example', 'GET / HTTP/1.1\r\nHost: a.example\r\n'],
  ['GET http://[::1]:8090/x HTTP/1.1', 'a', 'GET /x HTTP/1.1\r\nHost: [::1]:8090\r\n'],
  ['OPTIONS http://a.example HTTP/1.1', 'a', 'OPTIONS * HTTP/1.1\r\nHost: a.example\r\n'],
  ['OPTIONS * HTTP/1.1', 'a', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n'],
  ['GET //x/..;/%2e%2e/ HTTP/1.1', 'a', 'GET //x/..;/%2e%2e/ HTTP/1.1\r\nHost: a\r\n'],
  ['GET http://b.example/x HTTP/1.0', 'a', 'GET /x HTTP/1.1\r\nHost: b.example\r\n'],
  ['GET / HTTP/1.1', '[2001:db8::1]:8090', 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8090\r\n'],
  ['GET / HTTP/1.1', 'xn--bcher-kva.example', 'GET / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n'],
  ['GET / HTTP/1.1', 'b%C3%BCcher.example', 'GET / HTTP/1.1\r\nHost: b%C3%BCcher.example\r\n'],
] as const)
  test(`${line} with Host ${host} arrives as ${JSON.stringify(expected)}`, async () => {
    await using app = await recorder()
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `${line}\r\nX-A: b\r\nHost: ${host}\r\nX-C: d\r\n\r\n`)
    await client.until('ok')
    const [start, ...lines] = app.seen.text.split('\r\n')
    const hosts = lines.filter(each => /^host:/i.test(each))
    assert.equal(`${start}\r\n${hosts.join('\r\n')}\r\n`, expected)
    assert.deepEqual(
      lines.filter(each => /^x-[ac]:/i.test(each)),
      ['X-A: b', 'X-C: d'],
    )
    assert(app.seen.text.includes(`X-Forwarded-Host: ${hosts[0]?.slice(6)}\r\n`))
  })

for (const [what, head] of [
  ['a URL without a host', 'GET http:///x HTTP/1.1\r\nHost: a'],
  ['a URL with credentials', 'GET http://u:p@a/ HTTP/1.1\r\nHost: a'],
  ['a URL of another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a'],
  ['a URL without Host beside it', 'GET http://a/ HTTP/1.1'],
  ['a host and port', 'GET a:80 HTTP/1.1\r\nHost: a'],
  ['* for what is not OPTIONS', 'GET * HTTP/1.1\r\nHost: a'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a'],
  ['a raw byte in the target', 'GET /\xe9 HTTP/1.1\r\nHost: a'],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:'],
  ['a Host of nothing but a space', 'GET / HTTP/1.1\r\nHost: '],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b'],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b'],
  ['a Host with a query', 'GET / HTTP/1.1\r\nHost: a?b'],
  ['a Host with credentials', 'GET / HTTP/1.1\r\nHost: u@a'],
  ['a Host in raw UTF-8', 'GET / HTTP/1.1\r\nHost: b\xc3\xbccher.example'],
  ['a list of Hosts', 'GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b'],
  ['an empty Host beside a URL', 'GET http://a/ HTTP/1.1\r\nHost:'],
] as const)
  test(`refused, and nothing forwarded: ${what}`, async () => {
    await using app = await recorder()
    await using front = await forwarding(app)
    using client = new RawClient(front.port, `${head}\r\n\r\n`)
    assert.match(await client.closed(), /^HTTP\/1\.1 400 /)
    assert.equal(app.seen.text, '')
  })
