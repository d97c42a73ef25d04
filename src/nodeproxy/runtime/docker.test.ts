import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test, vi } from 'vitest'
import { appName, nodeName } from '../../model/names.ts'
import { docker } from './docker.ts'
import type { Container, Runtime } from './runtime.ts'

const aContainer = (id: string): Container => ({ id, app: appName(id), revision: 1 })

let folder: string
let server: Server
let runtime: Runtime
/** Calls that came, and the answers that are waited for. */
let calls: string[]
let waits: Map<string, ServerResponse>
/** What is answered to a call; one that it leaves alone is not answered. */
let answer: (call: string, response: ServerResponse) => void

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-docker-'))
  calls = []
  waits = new Map()
  server = createServer((request, response) => {
    const call = `${request.method} ${request.url}`
    calls.push(call)
    const [, waited] = /^POST \/containers\/(.*)\/wait$/.exec(call) ?? []
    if (waited === undefined) return answer(call, response)
    response.writeHead(200).flushHeaders()
    waits.set(waited, response)
  })
  server.listen(`${folder}/docker.sock`)
  await once(server, 'listening')
  runtime = docker({ node: nodeName('n1'), socketPath: `${folder}/docker.sock` })
})

afterEach(async () => {
  vi.unstubAllEnvs()
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise(resolve => setImmediate(resolve))
}

test('an app that hangs after SIGKILL keeps no other from being stopped', async () => {
  answer = (call, response) => {
    response.writeHead(call.startsWith('GET') ? 200 : 204).end(call.startsWith('GET') ? '{"Config":{}}' : undefined)
    if (call.startsWith('POST /containers/quick/kill')) waits.get('quick')?.end('{"StatusCode":0}')
  }
  const hanging = runtime.stop(aContainer('hung'), 0)
  hanging.catch(() => undefined)
  await until(() => calls.includes('POST /containers/hung/kill?signal=SIGKILL'))
  await runtime.stop(aContainer('quick'), 5_000)
})

test('a stop that fails waits for the end no more', async () => {
  answer = (call, response) => {
    if (call.startsWith('GET')) response.writeHead(200).end('{"Config":{}}')
    else response.writeHead(500).end('{"message":"no"}')
  }
  const stopping = runtime.stop(aContainer('blog'), 5_000)
  stopping.catch(() => undefined)
  await until(() => waits.has('blog'))
  const left = once(waits.get('blog') ?? assert.fail(), 'close')
  await assert.rejects(stopping, /no/)
  await left
})

test('who waits for an image may leave, though Docker does not answer', async () => {
  answer = () => undefined
  const leaving = new AbortController()
  const waiting = runtime.ensureImage('busybox', leaving.signal)
  waiting.catch(() => undefined)
  await until(() => calls.length > 0)
  leaving.abort(new Error('it left'))
  await assert.rejects(waiting, /it left/)
})

test('who waits for an image may leave, though the credential helper does not answer', async () => {
  answer = (_, response) => void response.writeHead(404).end('{"message":"no such image"}')
  const script = `#!/bin/sh\necho $$ > ${folder}/asked\nexec sleep 60\n`
  await writeFile(`${folder}/docker-credential-hangs`, script, { mode: 0o755 })
  await writeFile(`${folder}/config.json`, '{"credsStore":"hangs"}')
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`)
  const configFile = `${folder}/config.json`
  const here = docker({ node: nodeName('n1'), socketPath: `${folder}/docker.sock`, configFile })
  const leaving = new AbortController()
  const waiting = here.ensureImage('busybox', leaving.signal)
  waiting.catch(() => undefined)
  await until(() => existsSync(`${folder}/asked`))
  leaving.abort(new Error('it left'))
  await assert.rejects(waiting, /it left/)
})

test('what is no name of an image is never asked for, though an older Shadow has stored it', async () => {
  answer = (_, response) => void response.writeHead(404).end()
  for (const image of ['../../../127.0.0.1:17588/hit', 'a/../b', 'Upper', ':1', 'x@sha256:abc'])
    await assert.rejects(runtime.ensureImage(image, new AbortController().signal), { code: 'definition-refused' })
  assert.deepEqual(calls, [])
})

test('a pull that fails after it has begun is told with what Docker said', async () => {
  answer = (call, response) => {
    if (call.startsWith('GET')) response.writeHead(404).end('{"message":"no such image"}')
    else response.end('{"status":"Pulling"}\nno JSON\n{"error":"no space on mars"}\n')
  }
  await assert.rejects(runtime.ensureImage('registry:5000/blog', new AbortController().signal), {
    code: 'image-not-found',
    message: /cannot be pulled: no space on mars/,
  })
  assert.ok(calls.includes('POST /images/create?fromImage=registry%3A5000%2Fblog&tag=latest'), `${calls}`)
})
