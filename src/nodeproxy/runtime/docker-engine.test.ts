import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { dockerEngine, type Engine } from './docker-engine.ts'
import { statusOf } from './failures.ts'

let folder: string
let server: Server
let engine: Engine
let answer: RequestListener

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-engine-'))
  server = createServer((request, response) => answer(request, response))
  server.listen(`${folder}/docker.sock`)
  await once(server, 'listening')
  engine = dockerEngine(`${folder}/docker.sock`)
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

const inspect = (): Promise<unknown> => engine.ask(docker => docker.getImage('x').inspect())

test('a redirect is an error, and nobody is asked at the place that it names', async () => {
  let asked = 0
  const elsewhere = createServer((_, response) => {
    asked += 1
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  const { port } = elsewhere.address() as AddressInfo
  const to = [`http://127.0.0.1:${port}/hit`, '/images/b/json', '//images/b/json', 'x:y', 'https://[', '']
  for (const location of to)
    for (const status of [300, 301, 302, 303, 307, 308]) {
      answer = (_, response) => void response.writeHead(status, { location }).end('<a href="x">moved</a>')
      await assert.rejects(inspect(), error => statusOf(error) === status)
    }
  assert.equal(asked, 0)
  elsewhere.close()
})

test('a redirect of a stream is an error too', async () => {
  answer = (_, response) => void response.writeHead(301, { location: 'http://127.0.0.1:1/hit' }).end('moved')
  const lines = engine.stream({ method: 'POST', path: '/containers/x/wait' }, new AbortController().signal)
  await assert.rejects(lines.next(), error => statusOf(error) === 301)
})

test('an answer that is cut in its body ends the call', async () => {
  answer = (_, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('{"Id":')
    response.socket?.end() // the client gets the head before the end
  }
  await assert.rejects(inspect(), { code: 'runtime-unreachable' })
})

test('a connection that was kept and is cut by then is tried once more', async () => {
  answer = (_, response) => void response.end('{"Id":"1"}')
  assert.deepEqual(await inspect(), { Id: '1' })
  server.closeAllConnections()
  assert.deepEqual(await inspect(), { Id: '1' })
})
