import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'vitest'
import { call, json } from './call.ts'

/** A server that resets the connection where the list says so, request by request, and answers the others; it tells which connection had which request. */
async function server(resets: readonly boolean[]) {
  const seen: string[] = []
  let connections = 0
  const listening = createServer(socket => {
    const connection = ++connections
    socket.on('error', () => undefined)
    socket.on('data', bytes => {
      const [line = ''] = bytes.toString().split(' HTTP', 1)
      const isReset = resets[seen.length] === true
      seen.push(`${connection}: ${line}`)
      if (isReset) socket.resetAndDestroy()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
    })
  }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  return {
    seen,
    url: new URL(`http://127.0.0.1:${port}/apps`),
    [Symbol.dispose]: () => void listening.close(),
  }
}

// A server closes a kept connection that was idle for a while, perhaps at the moment when the next request is on its way to it.
test('a call on a kept connection that is reset before its answer is made again, once, on a new connection', async () => {
  using one = await server([false, true])
  const agent = new Agent({ keepAlive: true })
  await json(await call({ method: 'GET', url: one.url, agent }))
  const answer = await call({ method: 'POST', url: one.url, agent, body: { name: 'blog' } })
  assert.deepEqual(await json(answer), {})
  assert.deepEqual(one.seen, ['1: GET /apps', '1: POST /apps', '2: POST /apps'])
  agent.destroy()
})

test('a call on a new connection that is reset fails', async () => {
  using one = await server([true, true])
  const agent = new Agent({ keepAlive: true })
  await assert.rejects(call({ method: 'GET', url: one.url, agent }), { code: 'ECONNRESET' })
  assert.deepEqual(one.seen, ['1: GET /apps'])
  agent.destroy()
})
