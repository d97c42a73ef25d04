import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { afterEach, describe, test } from 'vitest'
import { selfSigned } from '../../../testing/certificates.ts'
import { SocketWriter } from '../sockets/socket-writer.ts'
import { useFallbacks } from './fallbacks.ts'
import { readInto } from './read-into.ts'
import { setAutoDestroy, tcpBeneath } from './sockets.ts'

// Assumptions about unpublished parts of Node. If a test fails, a release of Node has changed that part: the proxy goes on
// with the fallback, at a higher cost, until the part is repaired or deleted.

type Ends = { readonly accepted: Socket; readonly client: Socket } & Disposable

async function portOf(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  assert(address !== null && typeof address === 'object')
  return address.port
}

const endsOf = (accepted: Socket, client: Socket): Ends => ({
  accepted,
  client,
  [Symbol.dispose]() {
    accepted.destroy()
    client.destroy()
  },
})

async function plain(): Promise<Ends> {
  const server = createServer()
  const client = connect(await portOf(server), '127.0.0.1')
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [[Socket], unknown]
  server.close()
  return endsOf(accepted, client)
}

async function tls(): Promise<Ends> {
  const server = createTlsServer(selfSigned('one.example'))
  const client = connectTls({ port: await portOf(server), host: '127.0.0.1', rejectUnauthorized: false })
  const [[accepted]] = (await Promise.all([once(server, 'secureConnection'), once(client, 'secureConnect')])) as [
    [Socket],
    unknown,
  ]
  server.close()
  return endsOf(accepted, client)
}

async function textOf(socket: Socket, length: number): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('latin1')) {
    text += chunk
    if (text.length >= length) break
  }
  return text
}

/** The number of three small writes that went through the stream. */
async function streamedOf({ accepted, client }: Ends): Promise<number> {
  const writer = new SocketWriter(accepted, cause => assert.fail(cause))
  const text = textOf(client, 4)
  let streamed = 0
  for (const [at, digit] of ['0', '1', '2', '3'].entries()) {
    if (at === 1) streamed = 0 // the first write shows the class of node:net's requests
    const { write } = accepted
    accepted.write = ((...given: Parameters<Socket['write']>) => {
      streamed += 1
      return write.apply(accepted, given)
    }) as Socket['write']
    writer.write(Buffer.from(digit))
    accepted.write = write
    await new Promise(setImmediate)
    await new Promise<void>(resolve => writer.whenWritten(resolve))
    await new Promise(setImmediate)
  }
  assert.equal(await text, '0123')
  return streamed
}

afterEach(() => useFallbacks([]))

describe('tls-writes', () => {
  test('small writes go to the handle of a TLS socket, past its stream', async () => {
    using ends = await tls()
    assert.equal(
      await streamedOf(ends),
      0,
      'this Node writes by another handle, method or class of requests: see handle.ts',
    )
  })

  test('without it they go through the stream', async () => {
    useFallbacks(['tls-writes'])
    using ends = await tls()
    assert.equal(await streamedOf(ends), 3)
  })
})

describe('reads', () => {
  test('an accepted socket reads into memory that is used again', async () => {
    using ends = await plain()
    const memory = Buffer.alloc(1_024)
    let text = ''
    const callback = (length: number, bytes: Uint8Array): boolean => {
      assert.equal(bytes, memory)
      text += memory.toString('latin1', 0, length)
      return true
    }
    assert(
      readInto(ends.accepted, { buffer: () => memory, callback }),
      'this Node keeps onread elsewhere: see read-into.ts',
    )
    ends.accepted.resume()
    ends.client.end('hello')
    await once(ends.accepted, 'end')
    assert.equal(text, 'hello')
  })

  test('without it the caller is told to listen to its data', async () => {
    useFallbacks(['reads'])
    using ends = await plain()
    const callback = (): boolean => assert.fail('it was read into memory of ours')
    assert(!readInto(ends.accepted, { buffer: () => Buffer.alloc(1), callback }))
    ends.client.end('hello')
    assert.equal(await textOf(ends.accepted, 5), 'hello')
  })
})

test('a socket is there after a write to it failed', async () => {
  using ends = await plain()
  const { accepted, client } = ends
  setAutoDestroy(client, false)
  const failed = once(client.pause(), 'error')
  let hasFailed = false
  client.on('error', () => {
    hasFailed = true
  })
  accepted.destroy()
  while (!hasFailed && !client.destroyed) {
    client.write('more')
    await new Promise(setImmediate)
  }
  await failed
  assert(!client.destroyed, 'this Node destroys a socket by other state than autoDestroy: see sockets.ts')
})

test('the TCP connection beneath a TLS socket is found', async () => {
  using ends = await tls()
  assert.equal(
    tcpBeneath(ends.accepted)?.remotePort,
    ends.client.localPort,
    'node:tls keeps it elsewhere: see sockets.ts',
  )
})
