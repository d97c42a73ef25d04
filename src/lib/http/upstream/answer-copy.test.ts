import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { RawClient, rawApp } from '../../../testing/wire.ts'
import type { CopiedAnswer, NextHop } from '../next-hop.ts'

const ASKED = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const FRAMED = {
  'with a length': 'Content-Length: 6\r\n\r\nabc\xffef',
  'in chunks': 'Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n3\r\n\xffef\r\n0\r\nTrailer-Field: x\r\n\r\n',
  'ended by the connection': '\r\nabc\xffef',
}

/** An app that sends its answer byte by byte, or at once. */
const appOf = (answer: string, perWrite: number) =>
  rawApp(socket => {
    socket.once('data', async () => {
      for (let at = 0; at < answer.length; at += perWrite) {
        socket.write(answer.slice(at, at + perWrite), 'latin1')
        await new Promise(resolve => setImmediate(resolve))
      }
      socket.end()
    })
  })

const collector = (mostBytes = 100, wants = () => true) => {
  const taken: CopiedAnswer[] = []
  const copy: NonNullable<NextHop['copy']> = { mostBytes, wants, taken: answer => void taken.push(answer) }
  return { copy, taken }
}

for (const [how, rest] of Object.entries(FRAMED))
  for (const perWrite of [1, 1_000])
    test(`an answer ${how}, ${perWrite} bytes at a time, is copied whole and without its framing`, async () => {
      await using app = await appOf(`HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\n${rest}`, perWrite)
      const { copy, taken } = collector()
      await using front = await fastForwarding()(app, { copy })
      using client = new RawClient(front.port, ASKED)
      await client.closed()
      assert.equal(taken.length, 1)
      assert.equal(taken[0]?.status, 200)
      assert.equal(taken[0].body.toString('latin1'), 'abc\xffef')
      assert.deepEqual(taken[0].fields.slice(0, 2), [
        ['x-one', '1'],
        ['x-one', '2'],
      ])
    })

for (const [how, rest] of Object.entries(FRAMED))
  test(`an answer ${how} that is larger than wanted is forwarded, and not copied`, async () => {
    await using app = await appOf(`HTTP/1.1 200 OK\r\n${rest}`, 1_000)
    const { copy, taken } = collector(5)
    await using front = await fastForwarding()(app, { copy })
    using client = new RawClient(front.port, ASKED)
    assert.match(await client.closed(), /abc/)
    assert.deepEqual(taken, [])
  })

test('an answer that is cut is not copied', async () => {
  await using app = await appOf('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdef', 1_000)
  const { copy, taken } = collector()
  await using front = await fastForwarding()(app, { copy })
  using client = new RawClient(front.port, ASKED)
  await client.closed()
  assert.deepEqual(taken, [])
})

test('an answer that is not wanted by its head is not copied', async () => {
  await using app = await appOf('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef', 1_000)
  const { copy, taken } = collector(100, () => false)
  await using front = await fastForwarding()(app, { copy })
  using client = new RawClient(front.port, ASKED)
  assert.match(await client.closed(), /abcdef/)
  assert.deepEqual(taken, [])
})
