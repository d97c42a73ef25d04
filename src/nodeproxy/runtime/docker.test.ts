import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test, vi } from 'vitest'
import { instanceId } from '../../model/instance-id.ts'
import { appName, nodeName } from '../../model/names.ts'
import { aTask } from '../../testing/fake-app.ts'
import { docker } from './docker.ts'
import type { Container, Runtime } from './runtime.ts'

const aContainer = (id: string): Container => ({
  id,
  app: appName(id),
  instance: instanceId(appName(id)),
  revision: 1,
})

let folder: string
let server: Server
let runtime: Runtime
/** The calls received, and the answers that are still open. */
let calls: string[]
let waits: Map<string, ServerResponse>
/** Answers a call; a call that it ignores gets no answer. */
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

describe('the end of a container that was killed', () => {
  /** Docker knows of a kill for want of memory from the look `from` on. */
  async function endsWith(exitCode: number, from: number) {
    let looks = 0
    answer = (_, response) => {
      looks += 1
      response.writeHead(200).end(JSON.stringify({ Config: {}, State: { OOMKilled: looks >= from } }))
    }
    const exited = runtime.exited(aContainer('blog'), new AbortController().signal)
    await until(() => waits.has('blog'))
    waits.get('blog')?.end(JSON.stringify({ StatusCode: exitCode }))
    return { exit: await exited, looks }
  }

  test('is one for want of memory, though Docker hears of that after the end', async () => {
    assert.deepEqual(await endsWith(137, 3), { exit: { exitCode: 137, outOfMemory: true }, looks: 3 })
  })

  test('is none if Docker hears of none', async () => {
    assert.deepEqual((await endsWith(137, Number.POSITIVE_INFINITY)).exit, { exitCode: 137, outOfMemory: false })
  })

  test('is asked for once where it was not killed', async () => {
    assert.deepEqual(await endsWith(3, 2), { exit: { exitCode: 3, outOfMemory: false }, looks: 1 })
  })
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

describe('a look whether a definition can be run', () => {
  const SCRIPT = Buffer.concat([Buffer.alloc(512), Buffer.from('#!/usr/bin/python9\n')])
  /** Docker with one image and a container of it. */
  const dockerWith = (files: Readonly<Record<string, Buffer>>) => (call: string, response: ServerResponse) => {
    const [, path] = /^GET \/containers\/look\/archive\?path=(.*)$/.exec(call) ?? []
    if (path !== undefined) {
      const file = files[decodeURIComponent(path)]
      return void response.writeHead(file ? 200 : 404).end(file ?? '{"message":"no such file"}')
    }
    if (call.startsWith('GET /images/here'))
      return void response.end(
        '{"Id":"sha256:1","RepoDigests":["here@sha256:d"],"Config":{"ExposedPorts":{"80/tcp":{},"53/udp":{}}}}',
      )
    if (call.startsWith('POST /containers/create?name=')) return void response.writeHead(201).end('{"Id":"look"}')
    if (call === 'GET /containers/look/json') return void response.end('{"Config":{"Cmd":["/app"]}}')
    if (call.startsWith('DELETE /containers/look')) return void response.writeHead(204).end()
    response.writeHead(404).end('{"message":"no such image"}')
  }
  const task = { ...aTask(), image: 'here', command: ['/app'] }
  const signal = new AbortController().signal

  test('finds the command, and leaves nothing behind; the same is not looked at twice', async () => {
    answer = dockerWith({ '/app': Buffer.alloc(1024, 'x') })
    assert.deepEqual(await runtime.check(task, signal), { id: 'sha256:1', digest: 'sha256:d', ports: [80] })
    assert.ok(calls.some(call => call.startsWith('DELETE /containers/look')))
    const before = calls.length
    await runtime.check({ ...task, revision: 9 }, signal)
    assert.deepEqual(calls.slice(before), ['GET /images/here%3Alatest/json'])
  })

  for (const [files, told] of [
    [{}, '"/app" is not in the image'],
    [{ '/app': SCRIPT }, '/app is there, but its interpreter /usr/bin/python9 is not'],
  ] as const)
    test(`tells that ${told}, and leaves nothing behind`, async () => {
      answer = dockerWith(files)
      await assert.rejects(runtime.check(task, signal), { code: 'command-not-found', message: new RegExp(told) })
      assert.ok(calls.some(call => call.startsWith('DELETE /containers/look')))
    })

  test('tells of a health check that is to be waited for, and is not there', async () => {
    answer = dockerWith({ '/app': Buffer.alloc(1024, 'x') })
    const checked = { ...task, ready: { kind: 'healthcheck' } } as const
    await assert.rejects(runtime.check(checked, signal), { code: 'definition-refused', message: /no HEALTHCHECK/ })
    assert.ok(calls.some(call => call.startsWith('DELETE /containers/look')))
  })

  test('tells of an image that is nowhere', async () => {
    answer = dockerWith({})
    await assert.rejects(runtime.check({ ...task, image: 'nope:99' }, signal), { code: 'image-not-found' })
  })

  test('a revision whose image is gone is not run with another of that name', async () => {
    answer = dockerWith({})
    const of = { ...task, pinned: { id: 'sha256:0' } }
    await assert.rejects(runtime.ensureImage('here', signal, of), { code: 'image-not-found' })
    assert.deepEqual(await runtime.ensureImage('here', signal), { id: 'sha256:1', digest: 'sha256:d', ports: [80] })
  })
})
