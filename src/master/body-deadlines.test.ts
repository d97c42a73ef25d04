import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { BodyDeadlines } from './body-deadlines.ts'

let clock: HandClock
let stack: AsyncDisposableStack
let begun: (path: string, answer?: boolean) => Promise<Socket>

beforeEach(async () => {
  clock = new HandClock()
  stack = new AsyncDisposableStack()
  const deadlines = new BodyDeadlines(clock)
  const seen = new Map<string, (request: IncomingMessage) => void>()
  const server = createServer((request, response) => {
    deadlines.start(request)
    if (request.url?.startsWith('/upload')) deadlines.letOff(request)
    if (request.url?.startsWith('/session')) deadlines.end(request)
    if (request.url?.endsWith('answered')) response.writeHead(401).end()
    if (request.url?.endsWith('read')) request.on('end', () => response.end()).resume()
    seen.get(request.url ?? '')?.(request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => server.closeAllConnections())
  stack.defer(() => void server.close())
  begun = async path => {
    const arrived = new Promise(resolve => seen.set(path, resolve))
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
    socket.resume().write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx`)
    await arrived
    return socket
  }
})
afterEach(() => stack.disposeAsync())

for (const path of ['/body', '/body-answered'])
  test(`a body that trickles ends its connection after five minutes: ${path}`, async () => {
    const socket = await begun(path)
    const closed = once(socket, 'close')
    await clock.advance(299_999)
    assert.equal(clock.waiting, 1)
    await clock.advance(1)
    await closed
  })

test('an upload has an hour, a session as long as it wants, and a body that came whole ends nothing', async () => {
  const upload = await begun('/upload')
  const uploadClosed = once(upload, 'close')
  const session = await begun('/session')
  const whole = await begun('/body-read')
  whole.write('123456789')
  await once(whole, 'data')
  await clock.advance(3_000_000)
  assert.deepEqual([upload.destroyed, whole.destroyed], [false, false])
  await clock.advance(600_000)
  await uploadClosed
  await clock.advance(86_400_000)
  assert.equal(session.destroyed, false)
})
