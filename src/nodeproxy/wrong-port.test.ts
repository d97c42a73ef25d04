import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { afterEach, test } from 'vitest'
import { listen } from '../lib/http/api/request-handler.ts'
import { duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { Listener } from './runtime/listening-sockets.ts'
import { sayWrongPort, untilWrongPort, type WrongPort } from './wrong-port.ts'

const never = new AbortController().signal
const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]()
})

/** A port of this machine on which an app serves HTTP. */
async function served(): Promise<number> {
  const server = await listen(
    createServer((_, response) => response.writeHead(404).end()),
    { host: '127.0.0.1', port: 0 },
  )
  opened.push(server)
  return server.port
}

/** A wait on a hand-moved clock. The test may change `listeners` during the wait. */
function waiting(listeners: readonly Listener[] | undefined, changes: Partial<TaskDefinition> = {}, signal = never) {
  const clock = new HandClock()
  const it = { clock, listeners, found: undefined as WrongPort | undefined, checks: 0 }
  const listening = async () => {
    it.checks += 1
    return it.listeners
  }
  const ended = untilWrongPort({ task: aTask(changes), ip: '127.0.0.1', listening, clock }, signal)
  ended.then(
    found => {
      it.found = found
    },
    () => undefined,
  )
  return Object.assign(it, { ended })
}

const startWithin = duration('12s')
const everywhere = (port: number): Listener => ({ port, isLoopback: false })
const here = (port: number): Listener => ({ port, isLoopback: true })

test('an app that serves on another port for some seconds is told of, and not before', async () => {
  const port = await served()
  const wait = waiting([everywhere(port)], { startWithin })
  await wait.clock.advance(3_900)
  assert.equal(wait.found, undefined)
  await wait.clock.advance(100)
  assert.equal((await wait.ended).what, `it listens on ${port}, not 8000`)
})

test('one that may take longer to start has longer', async () => {
  const wait = waiting([everywhere(await served())], { startWithin: duration('60s') })
  await wait.clock.advance(10_900)
  assert.equal(wait.checks, 10)
  assert.equal(wait.found, undefined)
  await wait.clock.advance(100)
  await wait.ended
})

test('one that listens at the right port for its own container alone is told of', async () => {
  const wait = waiting([here(8000), here(5432)], { startWithin })
  await wait.clock.advance(4_000)
  assert.equal((await wait.ended).what, 'it listens on 127.0.0.1:8000 only; it must listen on 0.0.0.0')
})

for (const [what, listeners] of [
  ['listens nowhere yet', []],
  ['cannot be looked into', undefined],
  ['has its port open', [everywhere(8000), everywhere(80)]],
  ['listens elsewhere for its own container alone, as a database within it does', [here(5432)]],
] as const)
  test(`one that ${what} has its whole deadline`, async () => {
    const leaves = new AbortController()
    const wait = waiting(listeners, { startWithin }, leaves.signal)
    await wait.clock.advance(12_000)
    assert.equal(wait.checks, 12)
    leaves.abort(new Error('it is over'))
    await assert.rejects(wait.ended, /it is over/)
    assert.equal(wait.clock.waiting, 0)
  })

test('a port on which nobody speaks HTTP, as SSH, is not where visitors are to go', async () => {
  const server = createTcpServer(socket => socket.resume().end('SSH-2.0-x\r\n'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const leaves = new AbortController()
  const wait = waiting([everywhere(port)], { startWithin }, leaves.signal)
  // The check uses a real connection, so wait for it.
  const asked = new Promise(resolve => server.once('connection', resolve))
  await wait.clock.advance(4_000)
  await asked
  await new Promise(resolve => server.close(resolve))
  assert.equal(wait.found, undefined)
  leaves.abort(new Error('it is over'))
  await assert.rejects(wait.ended, /it is over/)
})

test('a port that was open elsewhere for a moment does not count', async () => {
  const port = await served()
  const wait = waiting([everywhere(port)], { startWithin })
  await wait.clock.advance(3_000)
  wait.listeners = []
  await wait.clock.advance(1_000)
  wait.listeners = [everywhere(port)]
  await wait.clock.advance(3_000)
  assert.equal(wait.found, undefined)
  await wait.clock.advance(1_000)
  await wait.ended
})

test('of an app that opens ports without end a few are told', () => {
  const many = Array.from({ length: 1_000 }, (_, at) => everywhere(10_000 - at))
  assert.match(
    sayWrongPort(
      aTask(),
      many.filter(({ port }) => port !== 8000),
    )?.what ?? '',
    /^it listens on 9001 .* 9010, not/,
  )
})

test('where it listens is said, with what to do about it', () => {
  const task = aTask()
  assert.equal(sayWrongPort(task, undefined), undefined)
  assert.equal(sayWrongPort(task, [everywhere(8000)]), undefined)
  assert.deepEqual(sayWrongPort(task, [everywhere(80), everywhere(80)]), {
    what: 'it listens on 80, not 8000',
    hint: 'shadow update blog --port 80, or have it listen on 0.0.0.0:8000 (PORT says so too)',
  })
  assert.equal(sayWrongPort(task, [everywhere(90), everywhere(80)])?.what, 'it listens on 80 and 90, not 8000')
  assert.deepEqual(sayWrongPort(task, [here(8000)]), {
    what: 'it listens on 127.0.0.1:8000 only; it must listen on 0.0.0.0',
    hint: 'have it listen on 0.0.0.0:8000; shadow logs blog',
  })
})
