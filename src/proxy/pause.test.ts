import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aFront, aNode, anApp, FakeConnector, masterOf } from '../testing/front.ts'
import { RawClient } from '../testing/wire.ts'

const paused = { at: '2026-11-30T00:00:00.000Z', by: 'ann', why: 'SECRET reason' }

test('a paused app is asked of no node; visitors are told that it is paused, but not why', async () => {
  await using master = await masterOf(
    [{ ...anApp('blog', ['blog.localhost']), paused, wake: { ignore: [], answers: ['/status'] } }],
    [aNode('one', '127.0.0.1:1')],
  )
  const connector = new FakeConnector(() => assert.fail('a node was asked'))
  await using front = await aFront({ master: master.url, connector })
  const ask = async (path: string, headers = ''): Promise<string> => {
    using client = new RawClient(
      front.port,
      `GET ${path} HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n${headers}\r\n`,
    )
    const answer = await client.closed()
    assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*x-shadow-error: app-paused/i)
    assert.match(answer, /x-shadow-state: paused/i)
    assert.doesNotMatch(answer, /SECRET|ann|retry-after/i)
    return answer
  }
  assert.match(await ask('/', 'Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n'), /This site is paused/)
  const document = await ask('/')
  assert.equal(JSON.parse(document.slice(document.indexOf('\r\n\r\n'))).code, 'app-paused')
  for (const path of ['/robots.txt', '/status', '/.shadow/events']) await ask(path)
  await ask('/', 'Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n')
})
