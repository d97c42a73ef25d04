import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { isFailure } from '../errors.ts'
import { type Log, noLog } from '../log.ts'
import { readQuery } from './query.ts'
import { addressData } from './records.ts'
import { encodeResponse } from './response.ts'
import { type DnsClient, DnsServer } from './server.ts'
import { CLASS, RCODE } from './wire-format.ts'

const clock = new HandClock()
type Answers = (message: Buffer, client: DnsClient) => Promise<Buffer | undefined>

async function listening(answer: Answers, log: Log = noLog) {
  const server = new DnsServer({ answer, clock, log })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return await server.listen({ host: '127.0.0.1', port: 0 })
}

/** Answers with as many addresses as fit, or as the client can take by TCP. */
const many: Answers = async (message, { isTcp }) => {
  const read = readQuery(message)
  if (!('query' in read)) return read.answer
  const { name } = read.query
  const answers = Array.from({ length: 40 }, (_, at) => ({
    ...{ name, class: CLASS.IN, ttl: 1, ...addressData(`192.0.2.${at}`) },
  }))
  const most = isTcp ? undefined : read.query.mostUdpBytes
  return encodeResponse(message, read.query, { rcode: RCODE.NOERROR, answers }, most)
}

test('an answer that does not fit into a datagram comes by TCP, on the same port', async () => {
  const { port } = await listening(many)
  const resolver = new Resolver({ timeout: 5_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  assert.equal((await resolver.resolve4('a.example')).length, 40)
})

test('a port that is in use is told, by TCP or by UDP alone', async () => {
  const { port } = await listening(many)
  const other = new DnsServer({ answer: many, clock, log: noLog })
  const inUse = (error: unknown): boolean => isFailure(error, 'bad-input') && /it is in use/.test(error.message)
  await assert.rejects(other.listen({ host: '127.0.0.1', port }), inUse)
  const udp = createSocket('udp4')
  onTestFinished(() => void udp.close())
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  await assert.rejects(other.listen({ host: '127.0.0.1', port: udp.address().port }), inUse)
})

test('a failure to answer is logged, and the next question is answered', async () => {
  const logged: string[] = []
  let fails = true
  const { port } = await listening(
    async (message, client) => {
      if (!fails) return many(message, client)
      fails = false
      throw new Error('no')
    },
    { ...noLog, error: event => void logged.push(event) },
  )
  const resolver = new Resolver({ timeout: 200, tries: 3 })
  resolver.setServers([`127.0.0.1:${port}`])
  assert.equal((await resolver.resolve4('a.example')).length, 40)
  assert.deepEqual(logged, ['question to the name server not answered'])
})

test('a connection without a question is closed, and one address may have only some', async () => {
  const { port } = await listening(many)
  const sockets = await Promise.all(
    Array.from({ length: 32 }, async () => {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    }),
  )
  const more = connect(port, '127.0.0.1')
  const [error] = await once(more, 'error')
  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
  const closed = sockets.map(socket => {
    socket.on('error', () => undefined) // one is reset, since it has bytes that were not read
    return new Promise(resolve => socket.resume().once('close', resolve))
  })
  // Bytes that are no question yet do not keep it open.
  sockets[0]?.write(Buffer.of(0))
  await clock.advance(10_000)
  await Promise.all(closed)
})
