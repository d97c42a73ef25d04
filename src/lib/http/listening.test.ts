import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'vitest'
import { until } from '../../testing/wire.ts'
import { isFailure } from '../errors.ts'
import { unexpectedErrors } from '../uncaught-errors.ts'
import { bind, bindAll, close, SOCKETS } from './listening.ts'

const HOST = '127.0.0.1'

async function listening(take: () => void, port = 0) {
  const servers = Array.from({ length: SOCKETS }, () => createServer(take).on('connection', ignoring))
  const bound = await bindAll(servers, { host: HOST, port })
  const cut = (): void => undefined
  return {
    ...bound,
    [Symbol.asyncDispose]: async () => void (await Promise.all(servers.map(one => close(one, 0, cut, cut)))),
  }
}

const ignoring = (socket: Socket): void => void socket.on('error', () => undefined).resume()

test('a thread that is busy takes in more than one new client a turn', async () => {
  let turn = 0
  const taken = new Map<number, number>()
  await using listener = await listening(() => taken.set(turn, (taken.get(turn) ?? 0) + 1))
  let counts = true
  const count = (): void => {
    turn += 1
    if (counts) setImmediate(count)
  }
  const clients = Array.from({ length: 100 }, () =>
    connect({ port: listener.port, host: HOST }).on('error', () => undefined),
  )
  await Promise.all(clients.slice(0, 1).map(client => new Promise(resolve => client.once('connect', resolve))))
  count()
  await until(() => [...taken.values()].reduce((sum, one) => sum + one, 0) === clients.length)
  counts = false
  for (const client of clients) client.destroy()
  assert(Math.max(...taken.values()) > 1, `${taken.size} turns for ${clients.length} clients`)
})

test('a port that somebody has is not shared', async () => {
  await using listener = await listening(() => undefined)
  await assert.rejects(
    listening(() => undefined, listener.port),
    error => isFailure(error, 'bad-input') && error.message.includes(`${listener.port}: it is in use`),
  )
})

test('a server that cannot take in a client listens on, and the error is counted', async () => {
  const server = createServer()
  const { port } = await bind(server, { host: HOST, port: 0 })
  const before = unexpectedErrors()
  server.emit('error', Object.assign(new Error('accept ENOBUFS'), { code: 'ENOBUFS', syscall: 'accept' }))
  assert.equal(unexpectedErrors(), before + 1)
  const accepted = new Promise<Socket>(resolve => server.once('connection', resolve))
  const client = ignored(connect({ port, host: HOST }))
  ;(await accepted).destroy()
  client.destroy()
  server.close()
})

const ignored = (socket: Socket): Socket => socket.on('error', () => undefined)
