import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { openEvents, readEvents, readLines } from './events.ts'

/** The response to a server's writes, as its client receives it. */
async function written(write: (response: ServerResponse) => void): Promise<IncomingMessage & Disposable> {
  const server = createServer((_, response) => write(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const asked = request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false }).end()
  const [body] = (await once(asked, 'response')) as [IncomingMessage]
  return Object.assign(body, {
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  })
}

test('events are read as they were sent, and heartbeats are heard', async () => {
  using body = await written(response => {
    const send = openEvents(response, 1_000)
    for (const n of [1, 2, 3]) send({ n })
    response.end()
  })
  let beats = 0
  const events: unknown[] = []
  for await (const event of readEvents(body, () => beats++)) events.push(event)
  assert.deepEqual(events, [{ n: 1 }, { n: 2 }, { n: 3 }])
  assert.ok(beats >= 4)
})

test('a reader who leaves in the middle ends the connection, and nothing else', async () => {
  const closed = Promise.withResolvers<void>()
  using body = await written(response => {
    response.on('close', () => closed.resolve())
    openEvents(response, 1_000)({ n: 1 })
  })
  for await (const event of readEvents(body)) {
    assert.deepEqual(event, { n: 1 })
    break
  }
  await closed.promise
  await new Promise(resolve => setImmediate(resolve)) // an uncaught error would be thrown by now
})

test('what is written behind the end of a stream that its reader has not taken yet harms nobody', async () => {
  const [ended, errors] = [Promise.withResolvers<void>(), [] as unknown[]]
  using _body = await written(response => {
    response.on('error', error => errors.push(error))
    const send = openEvents(response, 1)
    send({ much: 'x'.repeat(8 * 2 ** 20) })
    response.end()
    send({ late: true })
    setTimeout(ended.resolve, 20) // heartbeats arrive within this time
  })
  await ended.promise
  assert.deepEqual(errors, [])
})

test('a stream that is cut rejects in the hands of its reader', async () => {
  using body = await written(response => {
    response.write('one\n', () => setImmediate(() => response.destroy()))
  })
  await expect(Array.fromAsync(readLines(body))).rejects.toThrow('aborted')
})

test('lines are whole however they come, and the last needs no end', async () => {
  using body = await written(response => {
    const bytes = Buffer.from('héllo\r\nwörld\n\nlast')
    const next = (at: number): void => {
      if (at === bytes.length) response.end()
      else response.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1))
    }
    next(0)
  })
  assert.deepEqual(await Array.fromAsync(readLines(body)), ['héllo', 'wörld', '', 'last'])
})
