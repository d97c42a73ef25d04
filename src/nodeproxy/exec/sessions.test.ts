import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { beforeEach, test } from 'vitest'
import { ClientSession } from '../../api/exec-client.ts'
import { ShadowError } from '../../lib/errors.ts'
import { encodeFrame } from '../../lib/frames.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import type { StreamedRequest, StreamedResponse } from '../../lib/http/exchange.ts'
import { noLog } from '../../lib/log.ts'
import { INPUT_WINDOW_BYTES, SESSION_LOST_AFTER, SESSION_START_WITHIN, SESSIONS_PER_APP } from '../../model/exec.ts'
import type { HoldRequest } from '../../model/instance.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { COMMANDS } from '../../testing/exec-commands.ts'
import { anApp, aTask } from '../../testing/fake-app.ts'
import type { FakeCommand } from '../../testing/fake-exec.ts'
import { FakeRuntime } from '../../testing/fake-runtime.ts'
import { Sessions } from './sessions.ts'

const IDLE_MS = 3_600_000
const instance = instanceId(appName('blog'))

let clock: HandClock
let runtime: FakeRuntime
let sessions: Sessions
let held: HoldRequest[]
let container: string

beforeEach(async () => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  held = []
  const signal = new AbortController().signal
  const made = await runtime.create(instance, aTask({ volume: undefined }), undefined, signal)
  await runtime.start(made, signal)
  container = made.id
  sessions = new Sessions({
    node: nodeName('n1'),
    hosted: {
      hold: (_, request) => {
        held.push(request)
        const leave = (): void => void held.splice(held.indexOf(request), 1)
        return { address: '10.0.0.2:8000', headers: {}, run: container, [Symbol.dispose]: leave }
      },
      apps: { resolve: async () => anApp(aTask({})) },
      containerOf: (_, { run }) => {
        if (run === made.id) return made
        throw new ShadowError('app-unreachable', 'blog stopped just now')
      },
    },
    runtime,
    consoles: { open: async () => Promise.reject(new Error('not in this test')) },
    idleMs: IDLE_MS,
    clock,
    log: noLog,
    ending: signal,
  })
})

/** The two streams of a session whose client is this test. */
function wire() {
  const [request, response] = [new PassThrough(), new PassThrough()]
  const left = new AbortController()
  Object.assign(response, { writeHead: () => response, flushHeaders: () => undefined, headersSent: false })
  const served = sessions.serve(
    { instance, by: 'token tester', wake: true },
    {
      request: request as unknown as StreamedRequest,
      response: response as unknown as StreamedResponse,
      signal: left.signal,
      permit: undefined,
    },
  )
  served.catch(() => undefined)
  return { request, response, left, served }
}

async function opened(
  command: readonly string[],
): Promise<{ session: ClientSession; command: FakeCommand; served: Promise<void> }> {
  const { request, response, served } = wire()
  const session = await ClientSession.open({
    start: { kind: 'exec', command: [...command] },
    open: async content => {
      void (async () => {
        for await (const bytes of content) request.write(bytes)
        request.end()
      })().catch(() => undefined)
      return { status: 200, headers: {}, body: response } as unknown as Answer
    },
    clock: new HandClock(), // it sends no pings
    signal: new AbortController().signal,
  })
  return { session, command: runtime.commandsIn({ id: container }).at(-1) as FakeCommand, served }
}

const quiet = { output: () => undefined }

test('output, errors and the exit code arrive apart, and the hold says who has it', async () => {
  const { session } = await opened(COMMANDS.both)
  assert.equal(held[0]?.what, 'exec `sh -c echo out; echo err >&2; exit 3` by token tester')
  const said = { stdout: '', stderr: '' }
  const code = await session.read({
    output: (stream, bytes) => {
      said[stream] += Buffer.from(bytes).toString()
    },
  })
  assert.deepEqual([code, said], [3, { stdout: 'out\n', stderr: 'err\n' }])
  await clock.advance(0)
  assert.deepEqual(held, [])
})

test('a client that was not heard of for 45 s has its command ended', async () => {
  const { session, command } = await opened(COMMANDS.other)
  const ended = session.read(quiet)
  ended.catch(() => undefined)
  await clock.advance(SESSION_LOST_AFTER - 1)
  assert.equal(command.isRunning, true)
  await clock.advance(1)
  assert.equal(command.isRunning, false)
  await assert.rejects(ended, { code: 'client-gone' })
})

test('a session in which nothing is said ends by its limit, although its client is there', async () => {
  const { request, response, served } = wire()
  response.resume()
  request.write(encodeFrame(0, Buffer.from(JSON.stringify({ kind: 'exec', command: ['sleep', '1'] }))))
  await clock.advance(0)
  const [command] = runtime.commandsIn({ id: container })
  for (let passed = 0; passed < IDLE_MS; passed += 30_000) {
    assert.equal(command?.isRunning, true)
    request.write(encodeFrame(5))
    await clock.advance(30_000)
  }
  assert.equal(command?.isRunning, false)
  request.end()
  await served
  assert.deepEqual(held, [])
})

test('a command that does not read its input gets a window of it, and signals all the same', async () => {
  const { session, command } = await opened(COMMANDS.trap)
  const ended = session.read(quiet)
  let sent = false
  void session.write(Buffer.alloc(INPUT_WINDOW_BYTES + 1)).then(() => {
    sent = true
  })
  await clock.advance(0)
  assert.equal(sent, false)
  await session.signal('INT')
  assert.equal(await ended, 5)
  assert.equal(command.isRunning, false)
})

test('more input than the window ends the session: a client cannot fill the memory of the node', async () => {
  const { request, response, served } = wire()
  response.resume()
  request.write(encodeFrame(0, Buffer.from(JSON.stringify({ kind: 'exec', command: COMMANDS.deaf }))))
  await clock.advance(0)
  for (let sent = 0; sent <= INPUT_WINDOW_BYTES; sent += 32_768) request.write(encodeFrame(1, Buffer.alloc(32_768)))
  request.end()
  await served
  assert.equal(runtime.commandsIn({ id: container })[0]?.isRunning, false)
})

test('one app has so many sessions at most; one that ends makes room', async () => {
  const open: Awaited<ReturnType<typeof opened>>[] = []
  while (open.length < SESSIONS_PER_APP) open.push(await opened(COMMANDS.other))
  await assert.rejects(refused({ kind: 'exec', command: ['true'] }), { code: 'too-many-sessions' })
  open[0]?.command.exit(0)
  await open[0]?.session.read(quiet)
  await open[0]?.served
  await opened(COMMANDS.other)
})

test('a session that does not say what it is for is refused after ten seconds', async () => {
  const { served } = wire()
  await clock.advance(SESSION_START_WITHIN)
  await assert.rejects(served, { code: 'too-slow' })
})

for (const [start, message] of [
  [{ kind: 'exec', command: [] }, /command/],
  [{ kind: 'exec', command: ['sh'], workdir: 'tmp' }, /workdir/],
  [{ kind: 'exec', command: ['a\0b'] }, /NUL/],
  [{ kind: 'exec', command: ['sh'], user: 'a b' }, /user/],
  [{ kind: 'exec', command: ['sh'], tty: { columns: 0, rows: 1 } }, /columns/],
  [{ kind: 'exec', command: ['sh'], env: { 'A=B': '' } }, /env/],
  [{ kind: 'dance' }, /kind/],
] as const)
  test(`a start that is not well formed is refused by name: ${JSON.stringify(start)}`, async () => {
    await assert.rejects(refused(start), { code: 'bad-input', message })
  })

test('a container that is another one than was held gets no command', async () => {
  container = 'another'
  await assert.rejects(refused({ kind: 'exec', command: ['true'] }), { code: 'app-unreachable' })
  assert.deepEqual(held, [])
})

function refused(start: object): Promise<void> {
  const { request, served } = wire()
  request.write(encodeFrame(0, Buffer.from(JSON.stringify(start))))
  return served
}
