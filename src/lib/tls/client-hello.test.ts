import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { beginsTls, readClientHello } from './client-hello.ts'

/** The first bytes that Node's own TLS client sends. */
async function helloOf(servername: string | undefined): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const client = connect({ host: '127.0.0.1', port, ...(servername && { servername }) })
  client.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}

let hello: Buffer
beforeAll(async () => {
  hello = await helloOf('api.example.com')
})

/** The same message in records of so many bytes. */
function inRecords(bytes: Buffer, size: number): Buffer {
  const message = bytes.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    records.push(Buffer.from([0x16, 3, 1, part.length >> 8, part.length & 0xff]), part)
  }
  return Buffer.concat(records)
}

/** A ClientHello with these extensions. */
function made(...extensions: readonly (readonly [type: number, data: Buffer])[]): Buffer {
  const all = Buffer.concat(extensions.flatMap(([type, data]) => [uint16(type), uint16(data.length), data]))
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32),
    Buffer.from([0, 0, 2, 0x13, 1, 1, 0]),
    uint16(all.length),
    all,
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), uint16(body.length), body])
  return Buffer.concat([Buffer.from([0x16, 3, 1]), uint16(message.length), message])
}
const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const name = (text: string, type = 0): Buffer => {
  const one = Buffer.concat([Buffer.from([type]), uint16(text.length), Buffer.from(text)])
  return Buffer.concat([uint16(one.length), one])
}
const HELLO = { kind: 'hello', servername: 'api.example.com', isEncrypted: false }

describe('the name that a TLS client asks for', () => {
  test('is read from a real ClientHello', () => {
    expect(beginsTls(hello[0] ?? 0)).toBe(true)
    expect(readClientHello(hello)).toEqual(HELLO)
  })

  test('is none if the client gives none', async () => {
    expect(readClientHello(await helloOf(undefined))).toEqual({ ...HELLO, servername: undefined })
  })

  test('is waited for until the last byte of the message, and not longer', () => {
    for (let length = 0; length < hello.length; length += 1)
      expect(readClientHello(hello.subarray(0, length)), `${length}`).toEqual({ kind: 'more' })
    expect(readClientHello(Buffer.concat([hello, Buffer.from([0x14, 3, 3, 0, 1, 1])]))).toEqual(HELLO)
  })

  test('is read from a message that is cut into records', () => {
    for (const size of [hello.length, 200, 100, 50]) {
      const cut = inRecords(hello, size)
      expect(readClientHello(cut), `${size}`).toEqual(HELLO)
      expect(readClientHello(cut.subarray(0, -1)), `${size}`).toEqual({ kind: 'more' })
    }
    expect(readClientHello(inRecords(hello, 1))).toMatchObject({
      kind: 'fault',
      fault: expect.stringMatching(/records/),
    })
  })

  test('is marked where it may stand for a hidden one', () => {
    expect(readClientHello(made([0, name('api.example.com')], [0xfe0d, Buffer.from([0])]))).toEqual({
      ...HELLO,
      isEncrypted: true,
    })
  })

  test.each([
    ['two extensions with a name', made([0, name('a.example.com')], [0, name('b.example.com')])],
    [
      'two names in one extension',
      made([0, Buffer.concat([uint16(10), name('a').subarray(2), name('b').subarray(2)])]),
    ],
    ['bytes after the name', made([0, Buffer.concat([name('a.example.com'), Buffer.from([0])])])],
    ['a name of another type', made([0, name('a.example.com', 1)])],
    ['a name that is longer than its extension', made([0, Buffer.concat([uint16(30), name('a').subarray(2)])])],
    ['an extension past the end', made([0, name('a.example.com')]).fill(0xff, 54, 56)],
    ['another message', Buffer.from([0x16, 3, 1, 0, 4, 2, 0, 0, 0])],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n')],
    ['an empty record', Buffer.from([0x16, 3, 1, 0, 0])],
    ['a record that is too long', Buffer.from([0x16, 3, 1, 0x40, 1])],
    ['a message that is too long', Buffer.from([0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])],
  ])('%s is a fault', (_, bytes) => {
    expect(readClientHello(bytes).kind).toBe('fault')
  })

  test('no input makes it throw, or makes up a name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        readClientHello(Buffer.from(bytes))
        readClientHello(Buffer.concat([Buffer.from([0x16, 3, 1, 0, 100, 1, 0, 0, 96]), Buffer.from(bytes)]))
      }),
    )
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(hello)
        bytes[at] = value
        const read = readClientHello(bytes)
        if (read.kind === 'hello' && read.servername !== undefined) expect(read.servername).toHaveLength(15)
      }),
    )
  })
})
