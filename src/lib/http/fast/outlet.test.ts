import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Outlet } from './outlet.ts'

/** Two ends of a connection. */
async function pair(): Promise<{ outlet: Outlet; other: Socket; faults: Error[] } & Disposable> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert(address !== null && typeof address === 'object')
  const socket = connect(address.port, '127.0.0.1')
  const [[other]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown]
  server.close()
  const faults: Error[] = []
  const outlet = new Outlet(socket, cause => faults.push(cause))
  const end = (): void => {
    socket.destroy()
    other.destroy()
  }
  return { outlet, other, faults, [Symbol.dispose]: end }
}

const part = (fill: number): Buffer => Buffer.alloc(16_000, fill)

test('bytes arrive whole and in order, whatever the kernel takes at once', async () => {
  using ends = await pair()
  const { outlet, other } = ends
  let sent = 0
  // More than the buffers of the kernel hold, so that some is handed to it by parts, and what follows by the stream.
  for (; sent < 1_000; sent += 1) outlet.write(part(sent % 251))
  expect(outlet.isWritten).toBe(false)
  expect(outlet.waiting).toBeGreaterThan(0)
  let told = 0
  outlet.whenWritten(() => {
    told += 1
  })
  expect(told).toBe(0)
  let received = 0
  for await (const chunk of other) {
    for (const byte of chunk as Buffer) {
      if (byte !== Math.floor(received / 16_000) % 251) assert.fail(`byte ${received} is ${byte}`)
      received += 1
    }
    if (received === sent * 16_000) break
  }
  await expect.poll(() => told).toBe(1)
  expect([outlet.isWritten, outlet.waiting]).toEqual([true, 0])
})

test('what is small and taken at once waits for nothing', async () => {
  using ends = await pair()
  ends.outlet.write(Buffer.from('one '))
  ends.outlet.write(Buffer.from('two'))
  expect([ends.outlet.isWritten, ends.outlet.waiting]).toEqual([true, 0])
  let text = ''
  ends.other.on('data', chunk => {
    text += chunk
  })
  ends.other.resume()
  await expect.poll(() => text).toBe('one two')
})

test('an end comes after all that was written', async () => {
  using ends = await pair()
  for (let sent = 0; sent < 500; sent += 1) ends.outlet.write(part(sent % 251))
  ends.outlet.socket.end()
  let received = 0
  for await (const chunk of ends.other) received += (chunk as Buffer).length
  expect(received).toBe(500 * 16_000)
})

test('a write to a connection that was reset is told as a fault of the socket', async () => {
  using ends = await pair()
  const { outlet, other } = ends
  const faults: Error[] = []
  outlet.socket.on('error', cause => faults.push(cause))
  outlet.write(Buffer.from('hello'))
  other.resetAndDestroy()
  await expect
    .poll(() => {
      if (!outlet.socket.destroyed) outlet.write(Buffer.from('again'))
      return faults.length + ends.faults.length
    })
    .toBeGreaterThan(0)
})
