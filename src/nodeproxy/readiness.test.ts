import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { afterEach, test } from 'vitest'
import { listen } from '../lib/http/api/request-handler.ts'
import type { LogLine } from '../model/instance.ts'
import type { Readiness } from '../model/task.ts'
import { aTask } from '../testing/fake-app.ts'
import { untilReady } from './readiness.ts'
import type { Health } from './runtime/runtime.ts'

const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]()
})

async function serve(port: number, status: () => number = () => 200) {
  const server = await listen(
    createServer((_, response) => response.writeHead(status()).end()),
    { host: '127.0.0.1', port },
  )
  opened.push(server)
  return server
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = await listen(createServer(), { host: '127.0.0.1', port: 0 })
  await server[Symbol.asyncDispose]()
  return server.port
}

function ready(
  kind: Readiness,
  port: number,
  lines: AsyncIterable<string> = none(),
  signal = new AbortController().signal,
  health = noCheck,
) {
  const output = async function* (): AsyncIterable<LogLine> {
    for await (const line of lines) yield { at: '', stream: 'stdout', line }
  }
  return untilReady({ task: aTask({ ready: kind }), address: `127.0.0.1:${port}`, output, health }, signal)
}

async function* none(): AsyncIterable<string> {}

const noCheck = async (): Promise<Health | undefined> => undefined

const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol('pending')
  const soon = new Promise(resolve => setTimeout(resolve, 30, pending))
  return (await Promise.race([promise, soon])) === pending
}

test('an app is ready when its port opens', async () => {
  const port = await freePort()
  const waiting = ready({ kind: 'port' }, port)
  assert.equal(await isPending(waiting), true)
  await serve(port)
  await waiting
})

test('an app with a check path is ready when that answers well, not before', async () => {
  let status = 503
  const { port } = await serve(0, () => status)
  const waiting = ready({ kind: 'http', path: '/healthy' }, port)
  assert.equal(await isPending(waiting), true)
  status = 302
  await waiting
})

test('an app is asked as visitors ask it: by a hostname of its own, with the scheme, and by our name', async () => {
  const seen: IncomingHttpHeaders[] = []
  const server = await listen(
    createServer((request, response) => {
      seen.push(request.headers)
      // Like Django's ALLOWED_HOSTS and SECURE_SSL_REDIRECT, but stricter.
      const { host, 'x-forwarded-proto': proto } = request.headers
      response.writeHead(host !== 'blog.example' ? 400 : proto === 'https' ? 200 : 403).end()
    }),
    { host: '127.0.0.1', port: 0 },
  )
  opened.push(server)
  const answers: string[] = []
  const task = aTask({ ready: { kind: 'http', path: '/healthy' } })
  const address = `127.0.0.1:${server.port}`
  const output = async function* (): AsyncIterable<LogLine> {}
  const onAnswer = (said: string): void => void answers.push(said)
  const never = new AbortController().signal
  const health = noCheck
  await untilReady({ task, address, output, health, hostname: 'blog.example', onAnswer }, never)
  const { host, 'user-agent': agent, 'x-forwarded-proto': proto, 'x-forwarded-host': forwardedHost } = seen[0] ?? {}
  assert.deepEqual([host, agent, proto, forwardedHost], ['blog.example', 'shadow', 'http', 'blog.example'])
  assert.deepEqual(answers, ['403 Forbidden, asked as http://blog.example/healthy'])
  seen.length = 0
  await untilReady({ task, address, output, health, hostname: 'blog.example', proto: 'https' }, never)
  assert.deepEqual(
    seen.map(headers => headers['x-forwarded-proto']),
    ['https'],
  )
})

test('an app with a line is ready when it wrote that and its port is open', async () => {
  const port = await freePort()
  const wrote = Promise.withResolvers<void>()
  async function* lines() {
    yield 'starting'
    await wrote.promise
    yield 'Listening on :8000'
    await new Promise(() => undefined)
  }
  const waiting = ready({ kind: 'log', line: 'listening on|Listening on' }, port, lines())
  assert.equal(await isPending(waiting), true)
  wrote.resolve()
  assert.equal(await isPending(waiting), true)
  await serve(port)
  await waiting
})

test('an app with a health check is ready when that passes and its port is open', async () => {
  const port = await freePort()
  let passes = false
  const health = async (): Promise<Health> => ({ isHealthy: passes })
  const waiting = ready({ kind: 'healthcheck' }, port, none(), undefined, health)
  const server = await serve(port)
  assert.equal(await isPending(waiting), true)
  await server[Symbol.asyncDispose]()
  passes = true
  assert.equal(await isPending(waiting), true)
  await serve(port)
  await waiting
})

test('an app that need not serve is ready as soon as it runs, unless its start is called off', async () => {
  await ready({ kind: 'started' }, await freePort())
  const over = AbortSignal.abort(new Error('it died'))
  await assert.rejects(ready({ kind: 'started' }, await freePort(), none(), over), /it died/)
})

test('an app whose image has no health check to wait for is refused as it is defined', async () => {
  await assert.rejects(ready({ kind: 'healthcheck' }, await freePort()), {
    code: 'definition-refused',
    message: /image has no HEALTHCHECK/,
  })
})

for (const kind of [{ kind: 'port' }, { kind: 'http', path: '/' }, { kind: 'log', line: 'never' }] as const) {
  test(`waiting for readiness by ${kind.kind} ends at once when it is called off`, async () => {
    const over = new AbortController()
    const waiting = ready(kind, await freePort(), none(), over.signal)
    assert.equal(await isPending(waiting), true)
    over.abort(new Error('it died'))
    await assert.rejects(waiting, /it died/)
  })
}

test('a line on which a backtracking engine would stop for hours holds nobody up', async () => {
  const port = await freePort()
  await serve(port)
  async function* lines() {
    yield `${'x'.repeat(6_300)}z`
    yield 'xxx ready'
    await new Promise(() => undefined)
  }
  await ready({ kind: 'log', line: '(x+x+)+ ready$' }, port, lines())
})

test('a pattern that was stored before and that RE2 does not take is a clear failure of the start', async () => {
  await assert.rejects(ready({ kind: 'log', line: '(?=later)up' }, await freePort(), none()), {
    code: 'app-not-ready',
    message: /^the line "\(\?=later\)up" that tells when blog is ready is not a regular expression as RE2 has them/,
  })
})
