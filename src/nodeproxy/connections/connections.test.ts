import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PassThrough } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { ClientSession } from '../../api/exec-client.ts'
import { sessionStream } from '../../api/exec-stream.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import { noLog } from '../../lib/log.ts'
import { CONNECTIONS_PER_APP } from '../../model/exec.ts'
import type { HoldRequest } from '../../model/instance.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { aTask } from '../../testing/fake-app.ts'
import { FakeRuntime } from '../../testing/fake-runtime.ts'
import { connectTo } from '../runtime/container-port.ts'
import { connectionStream } from './connection-stream.ts'
import { Connections } from './connections.ts'

const instance = instanceId(appName('db'))
const asked = { instance, by: '10.0.0.7:4711', wake: true, permit: undefined }
let connections: Connections
let held: HoldRequest[]
let faults: string[]
let port: number
let accepted: Promise<Socket>
let close: () => void

beforeEach(async () => {
  const runtime = new FakeRuntime()
  const { signal } = new AbortController()
  const container = await runtime.create(instance, aTask({ volume: undefined }), undefined, signal)
  held = []
  faults = []
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
  accepted = once(server, 'connection').then(([socket]) => (socket as Socket).on('error', () => undefined))
  close = () => void server.close()
  connections = new Connections({
    node: nodeName('n1'),
    hosted: {
      hold: (_, request) => {
        held.push(request)
        const leave = (): void => void held.splice(held.indexOf(request), 1)
        return { address: '10.0.0.2:8000', headers: {}, run: container.id, [Symbol.dispose]: leave }
      },
      containerOf: () => container,
      instances: { get: () => ({ badConnection: fault => void faults.push(fault) }) },
    },
    runtime: { connect: (_, at, until) => connectTo({ app: 'db', ip: '127.0.0.1', port: at, pid: undefined }, until) },
    clock: new HandClock(),
    log: noLog,
    ending: signal,
  })
})
afterEach(() => close())

/** Resolves when nobody holds the app. */
async function untilFree(): Promise<void> {
  for (let tries = 0; held.length > 0 && tries < 1_000; tries++) await new Promise(resolve => setTimeout(resolve, 5))
  assert.deepEqual(held, [])
}

/** A stream to the port, as a front in this process has it, and as one that comes by the wire. */
const ways: Readonly<Record<string, () => Promise<Duplex>>> = {
  'in the same process': async () =>
    connectionStream(await connections.open(asked, port, new AbortController().signal)),
  'by the wire': async () => {
    const [request, response] = [new PassThrough(), new PassThrough()]
    Object.assign(response, { writeHead: () => response, flushHeaders: () => undefined, headersSent: false })
    const left = new AbortController()
    const served = connections.serve(asked, {
      request: request as unknown as StreamedRequest,
      response: response as unknown as StreamedResponse,
      signal: left.signal,
    })
    const failed = new Promise<never>((_, reject) => served.catch(reject))
    failed.catch(() => undefined)
    const session = await ClientSession.open({
      start: { kind: 'connection', port },
      open: async (content, signal) => {
        signal.addEventListener('abort', () => left.abort(signal.reason))
        void (async () => {
          for await (const bytes of content) request.write(bytes)
          request.end()
        })().catch(() => undefined)
        await Promise.race([once(response, 'readable'), failed])
        return { status: 200, headers: {}, body: response } as unknown as Answer
      },
      clock: new HandClock(),
      signal: new AbortController().signal,
    })
    return sessionStream(session)
  },
}

for (const [way, open] of Object.entries(ways))
  describe(`a connection ${way}`, () => {
    test('holds the app, and says who is connected to what', async () => {
      const stream = await open()
      assert.deepEqual(
        held.map(({ kind, what, mayWake }) => [kind, what, mayWake]),
        [['connection', `connection to port ${port} from 10.0.0.7:4711`, true]],
      )
      stream.destroy()
      await once((await accepted).resume(), 'end')
      await untilFree()
    })

    test('passes the end of the client on, and all of the answer after that', async () => {
      const [stream, app] = [await open(), await accepted]
      stream.end('question')
      assert.equal(await text(app), 'question')
      const answer = Buffer.alloc(2_000_000, 'x')
      app.end(answer)
      assert.deepEqual(await buffer(stream), answer)
      await untilFree()
    })

    test('passes the end of the app on, and all that the client sends after that', async () => {
      const [stream, app] = [await open(), await accepted]
      app.end('hello')
      assert.equal(await text(stream), 'hello')
      const sent = Buffer.alloc(2_000_000, 'y')
      stream.end(sent)
      assert.deepEqual(await buffer(app), sent)
      await untilFree()
    })

    test('ends when the app is stopped', async () => {
      const stream = await open()
      const closed = new Promise(resolve => stream.on('error', () => undefined).once('close', resolve))
      held[0]?.goAway?.()
      await closed
      await untilFree()
    })

    test('to a port on which nothing listens fails, and shadow why tells of it', async () => {
      const free = connect({ port, host: '127.0.0.1' })
      await once(free, 'connect')
      free.destroy()
      close()
      await new Promise(setImmediate)
      await assert.rejects(open(), { code: 'app-unreachable' })
      assert.deepEqual(faults, [`nothing in the container of db accepts connections on port ${port}`])
      assert.deepEqual(held, [])
    })
  })

test('no more connections are taken than an app may have', async () => {
  const open = () => connections.open(asked, port, new AbortController().signal)
  const all = await Promise.all(Array.from({ length: CONNECTIONS_PER_APP }, open))
  await assert.rejects(open(), { code: 'too-many-sessions' })
  await all[0]?.[Symbol.asyncDispose]()
  await (await open())[Symbol.asyncDispose]()
  await Promise.all(all.slice(1).map(one => one[Symbol.asyncDispose]()))
})
