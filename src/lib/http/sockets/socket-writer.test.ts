import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { selfSigned } from '../../../testing/certificates.ts'
import { SocketWriter } from './socket-writer.ts'

type Ends = { writer: SocketWriter; other: Socket; faults: Error[]; reset(): void } & Disposable

const endsOf = (socket: Socket, other: Socket, beneath = other): Ends => {
  const faults: Error[] = []
  const writer = new SocketWriter(socket, cause => faults.push(cause))
  const end = (): void => {
    socket.destroy()
    other.destroy()
  }
  return { writer, other, faults, reset: () => void beneath.resetAndDestroy(), [Symbol.dispose]: end }
}

async function portOf(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  assert(address !== null && typeof address === 'object')
  return address.port
}

/** The two ends of a connection. */
async function plain(): Promise<Ends> {
  const server = createServer({ pauseOnConnect: true })
  const socket = connect(await portOf(server), '127.0.0.1')
  const [[other]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown]
  server.close()
  return endsOf(socket, other)
}

/** The same over TLS. The server writes. */
const secure = (version: 'TLSv1.2' | 'TLSv1.3') => async (): Promise<Ends> => {
  const server = createTlsServer({ ...selfSigned('one.example'), maxVersion: version, allowHalfOpen: true })
  const beneath = connect(await portOf(server), '127.0.0.1')
  const other = connectTls({ socket: beneath, rejectUnauthorized: false })
  const [[socket]] = (await Promise.all([once(server, 'secureConnection'), once(other, 'secureConnect')])) as [
    [Socket],
    unknown,
  ]
  server.close()
  return endsOf(socket, other, beneath)
}

const part = (fill: number): Buffer => Buffer.alloc(16_000, fill)

describe.each([
  ['plain', plain],
  ['TLS 1.2', secure('TLSv1.2')],
  ['TLS 1.3', secure('TLSv1.3')],
])('%s', (_, pair) => {
  test('bytes arrive whole and in order, whatever the kernel takes at once', async () => {
    using ends = await pair()
    const { writer, other } = ends
    let sent = 0
    // More than the kernel's buffers hold: the kernel takes some of it in parts, and the rest goes through the stream.
    for (; sent < 1_000; sent += 1) writer.write(part(sent % 251))
    expect(writer.isWritten).toBe(false)
    expect(writer.waiting).toBeGreaterThan(0)
    let told = 0
    writer.whenWritten(() => {
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
    expect([writer.isWritten, writer.waiting]).toEqual([true, 0])
  })

  test('what is small and taken at once waits for nothing', async () => {
    using ends = await pair()
    ends.writer.write(Buffer.from('one '))
    expect([ends.writer.isWritten, ends.writer.waiting]).toEqual([true, 0])
    ends.writer.write(Buffer.from('two'))
    await expect.poll(() => [ends.writer.isWritten, ends.writer.waiting]).toEqual([true, 0])
    let text = ''
    ends.other.on('data', chunk => {
      text += chunk
    })
    ends.other.resume()
    await expect.poll(() => text).toBe('one two')
  })

  test('an end comes after all that was written', async () => {
    using ends = await pair()
    for (let sent = 0; sent < 500; sent += 1) ends.writer.write(part(sent % 251))
    ends.writer.socket.end()
    let received = 0
    for await (const chunk of ends.other) received += (chunk as Buffer).length
    expect(received).toBe(500 * 16_000)
  })

  test('a write to a connection that was reset is told as a fault of the socket', async () => {
    using ends = await pair()
    const { writer } = ends
    const faults: Error[] = []
    writer.socket.on('error', cause => faults.push(cause))
    writer.write(Buffer.from('hello'))
    ends.reset()
    await expect
      .poll(() => {
        if (!writer.socket.destroyed) writer.write(Buffer.from('again'))
        return faults.length + ends.faults.length
      })
      .toBeGreaterThan(0)
  })

  test('all kinds of writes arrive in order, each of them behind one that was just handed over', async () => {
    using ends = await pair()
    const { writer, other } = ends
    const { socket } = writer
    let text = ''
    other.on('data', chunk => {
      text += chunk
    })
    other.resume()
    await new Promise(resolve => socket.write(Buffer.from('.'), resolve)) // shows the class of write requests
    let expected = '.'
    const say = (what: string, write: (what: string) => void): void => {
      writer.write(Buffer.from('<'))
      write(what)
      expected += `<${what}`
    }
    for (let turn = 0; turn < 20; turn += 1) {
      say('writer', what => writer.write(Buffer.from(what)))
      say('buffer', what => socket.write(Buffer.from(what)))
      say('latin1', what => socket.write(what, 'latin1'))
      say('utf8', what => socket.write(what))
      say('', () => socket.write(''))
      say('another', what => new SocketWriter(socket, () => undefined).write(Buffer.from(what)))
      say('corked', what => {
        socket.cork()
        for (const letter of what) socket.write(letter)
        socket.uncork()
      })
      if (turn % 3 === 0) await new Promise(setImmediate)
      if (turn % 7 === 0) await expect.poll(() => writer.isWritten).toBe(true)
      if (turn % 5 === 0) await new Promise<void>(resolve => writer.whenWritten(resolve))
    }
    await expect.poll(() => writer.isWritten).toBe(true)
    say('', () => socket.end())
    await once(other, 'end')
    expect(text).toBe(expected)
  })

  test('a connection is destroyed in the middle of a write', async () => {
    using ends = await pair()
    const { writer } = ends
    writer.socket.on('error', () => undefined)
    for (let sent = 0; writer.isWritten; sent += 1) {
      writer.write(part(sent % 251))
      await new Promise(setImmediate)
    }
    let told = 0
    writer.whenWritten(() => {
      told += 1
    })
    writer.write(part(1))
    writer.socket.destroy()
    await expect.poll(() => told).toBe(1)
    writer.write(part(1))
  })
})
