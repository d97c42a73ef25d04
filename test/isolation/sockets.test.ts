import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as tick } from 'node:timers/promises'
import { afterAll, beforeAll, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { certificatesFolder, putPair, selfSigned } from '../../src/testing/certificates.ts'
import { h2Client } from '../../src/testing/h2-forwarding.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from '../tools/environment.ts'
import { installed } from '../tools/installed.ts'
import { register } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

// A low limit, so that it is soon reached. A higher limit refuses the same kinds of connections.
const FILES = 1_500

let built: Awaited<ReturnType<typeof installed>>
beforeAll(async () => {
  built = await installed()
})
afterAll(() => built[Symbol.asyncDispose]())

/** `shadow up` in a process with a low limit of open files, with an app that can hang and an innocent app. */
async function started(workers: string) {
  const stack = new AsyncDisposableStack()
  const data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  stack.defer(() => rm(data, { recursive: true }))
  const certificates = certificatesFolder()
  stack.defer(() => rm(certificates, { recursive: true }))
  putPair(certificates, 'default', selfSigned('hangs.localhost'))
  const args = [`--nofile=${FILES}:${FILES}`, built.shadow, 'up', '--json', '--data', data, '--listen', '0.0.0.0:0']
  const child = spawn('prlimit', args, {
    env: {
      ...process.env,
      SHADOW_WORKERS: workers,
      SHADOW_CONNECTIONS_PER_ADDRESS: '300',
      SHADOW_NODE_NAME: `${TEST_NODE_PREFIX}sockets`,
      SHADOW_MASTER_LISTEN: '127.0.0.1:0',
      SHADOW_NODE_LISTEN: '127.0.0.1:0',
      SHADOW_TLS_LISTEN: '127.0.0.1:0',
      SHADOW_TLS_CERTIFICATES: certificates,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk
  })
  const exited = once(child, 'exit')
  stack.defer(async () => {
    child.kill('SIGINT')
    await exited
  })
  const [line] = await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), exited.then(() => ['{}'])])
  const { front, master } = JSON.parse(String(line))
  assert.ok(front, log)
  const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
  const admin = masterClient({ url: master, token, withinMs: 60_000 })
  for (const name of ['hangs', 'innocent']) await register(admin, name)
  const visitor = new Visitor(() => Number(new URL(front).port))
  for (const name of ['hangs', 'innocent']) assert.equal((await visitor.ask(name)).status, 200)
  const tls = Number(/"tls":"[^"]*:(\d+)"/.exec(log)?.[1])
  return { visitor, admin, tls, log: () => log, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

type Started = Awaited<ReturnType<typeof started>>

/** Sends requests to the innocent app and the master until the attack ends. Both must answer each time. Returns the number of requests. */
async function innocently({ visitor, admin }: Started, attack: Promise<unknown>): Promise<number> {
  let over = false
  const ends = attack.finally(() => {
    over = true
  })
  let asked = 0
  while (!over || asked < 20) {
    const [answer, app] = await Promise.all([
      visitor.ask('innocent'),
      admin.call('getApp', { params: { app: 'innocent' } }),
    ])
    assert.equal(answer.status, 200, answer.text)
    assert.equal(app.name, 'innocent')
    asked++
  }
  await ends
  return asked
}

for (const workers of ['1', '2']) {
  test(`one address with 156 connections of 128 streams to an app that never answers harms nobody else (${workers} workers)`, async () => {
    await using on = await started(workers)
    const refused: number[] = []
    const clients: ReturnType<typeof h2Client>[] = []
    const attack = async (): Promise<void> => {
      for (let connection = 0; connection < 156; connection++) {
        const client = h2Client(`https://127.0.0.1:${on.tls}`, {
          rejectUnauthorized: false,
          servername: 'hangs.localhost',
        })
        clients.push(client)
        await once(client.session, 'connect')
        for (let stream = 0; stream < 128; stream++)
          client
            .request({ ':authority': 'hangs.localhost', ':path': '/later' })
            .on('error', () => undefined)
            .on('response', ({ ':status': status }) => refused.push(Number(status)))
        await tick()
      }
    }
    const asked = await innocently(on, attack())
    assert.ok(asked >= 20)
    assert.ok(refused.includes(429), `refused with ${[...new Set(refused)]}`)
    assert.deepEqual(
      [...new Set(refused)].filter(status => ![429, 503].includes(status)),
      [],
    )
    for (const client of clients) client[Symbol.dispose]()
    assert.equal((await on.visitor.ask('innocent')).status, 200)
    assert.doesNotMatch(on.log(), /EMFILE/)
  })

  test(`12 addresses with 150 connections each to an app that never answers harm nobody else (${workers} workers)`, async () => {
    await using on = await started(workers)
    const sockets: Socket[] = []
    let refused = 0
    const attack = async (): Promise<void> => {
      for (let round = 0; round < 150; round++)
        for (let address = 2; address < 14; address++) {
          const socket = connect({ port: on.visitor.port, host: '127.0.0.1', localAddress: `127.0.0.${address}` })
          sockets.push(socket.on('error', () => undefined))
          socket.on('data', chunk => {
            if (String(chunk).startsWith('HTTP/1.1 503')) refused++
          })
          socket.write('GET /later HTTP/1.1\r\nHost: hangs.localhost\r\n\r\n')
          if (address === 13) await once(socket, 'connect').catch(() => undefined)
        }
    }
    const asked = await innocently(on, attack())
    assert.ok(asked >= 20)
    assert.ok(refused > 0)
    for (const socket of sockets) socket.resetAndDestroy()
    assert.equal((await on.visitor.ask('innocent')).status, 200)
    assert.doesNotMatch(on.log(), /EMFILE/)
  })
}
