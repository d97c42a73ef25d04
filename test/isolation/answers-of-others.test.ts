import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, test } from 'vitest'
import type { MasterClient } from '../../src/api/client.ts'
import { size } from '../../src/model/quantities.ts'
import { Apart } from '../tools/apart.ts'
import { register, Shadow } from '../tools/shadow.ts'
import type { Visitor } from '../tools/visitor.ts'

const STRANGERS = ['strange-1', 'strange-2', 'strange-3']
// The test checks `ANSWERS` answers of the steady app while `REMOVALS` other apps or more are removed. The steady app dies once in each part.
const ANSWERS = 1_000
const REMOVALS = 20
const PARTS = 5
const SMALL = { memory: size('96MiB'), cpus: 1, pids: 64 }

type House = Visitor & AsyncDisposable & { readonly admin: MasterClient }

/** An HTTP/1.1 client that keeps one connection. */
class KeptClient implements Disposable {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(port: number) {
    this.#port = port
  }

  ask(app: string, path: string, method = 'GET'): Promise<{ status: number; body: string; ms: number }> {
    const from = performance.now()
    return new Promise((resolve, reject) => {
      request({
        port: this.#port,
        host: '127.0.0.1',
        path,
        method,
        agent: this.#agent,
        headers: { host: `${app}.localhost` },
      })
        .on('error', reject)
        .on('response', async response =>
          resolve({ status: response.statusCode ?? 0, body: await text(response), ms: performance.now() - from }),
        )
        .end()
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** Registers an app that names itself in each answer, and can be made to end. */
const named = (admin: MasterClient, name: string, memory = SMALL) =>
  register(admin, name, { env: { NAME: name }, limits: memory })

const nameIn = (body: string): unknown => JSON.parse(body).NAME

/** Wakes other apps and puts them to sleep until stopped: without a defence, each start would take the address just freed. */
function crowd(house: House): { stop: () => Promise<void> } {
  let goesOn = true
  const work = STRANGERS.map(async name => {
    while (goesOn) {
      await house.ask(name, '/env')
      await house.admin.call('sleepApp', { params: { app: name } })
    }
  })
  return {
    stop: async () => {
      goesOn = false
      await Promise.all(work)
    },
  }
}

const HOPS: readonly [string, () => Promise<House>][] = [
  ['one hop', () => Shadow.start()],
  ['two hops', () => Apart.start(['a'])],
]

describe.each(HOPS)('%s', (_, start) => {
  test('a request whose app dies under it is answered 502 app-crashed, and by nobody else', async () => {
    await using house = await start()
    await named(house.admin, 'victim')
    for (const name of STRANGERS) await named(house.admin, name)
    for (const name of STRANGERS) await house.ask(name, '/env')
    for (const name of STRANGERS) await house.admin.call('sleepApp', { params: { app: name } })
    for (const [path, told, method] of [
      [
        '/eat?bytes=400000000',
        /was killed for using more than its 96 ?MiB of memory.*exit code 137, SIGKILL.*"outOfMemory":1/,
        'GET',
      ],
      ['/die?code=3', /exit code 3/, 'GET'],
      ['/die?code=4', /exit code 4/, 'POST'],
    ] as const) {
      const facts = path.startsWith('/eat') ? { exitCode: 137, outOfMemory: 1 } : { exitCode: Number(path.at(-1)) }
      await house.admin.call('wakeApp', { params: { app: 'victim' } })
      using client = new KeptClient(house.port)
      assert.equal(nameIn((await client.ask('victim', '/env')).body), 'victim')
      const before = (await boots(house.admin)).length
      const others = crowd(house)
      const { status, body, ms } = await client.ask('victim', path, method)
      await others.stop()
      const problem = JSON.parse(body)
      assert.deepEqual([status, problem.code, problem.facts], [502, 'app-crashed', facts], body)
      assert.ok(ms < 10_000, `the client waited ${ms} ms`)
      assert.equal((await boots(house.admin)).length, before, 'the request woke its app again')
      const view = await house.admin.call('getInstance', { params: { app: 'victim' } })
      assert.match(JSON.stringify(view.problem), told)
    }
  })

  test('each of 1,000 answers comes from the app that was asked, while others are woken and removed', async () => {
    await using house = await start()
    await named(house.admin, 'steady')
    const others = Array.from({ length: 10 }, (_, i) => `other-${i}`)
    let goesOn = true
    let removals = 0
    const churn = others.slice(0, 4).map(async (_, lane) => {
      for (let round = 0; goesOn; round += 1) {
        const own = others.filter((_, i) => i % 4 === lane) // each lane has its own names
        const name = own[round % own.length] as string
        await named(house.admin, name)
        const { status, text: body } = await house.ask(name, '/env')
        assert.ok(status !== 200 || JSON.parse(body).NAME === name, `${name} was answered by ${body.slice(0, 200)}`)
        if (round % 2 === 1) await house.ask(name, '/die?code=1')
        await house.admin.call('removeApp', { params: { app: name } })
        removals += 1
      }
    })
    const churned = Promise.all(churn).finally(() => {
      goesOn = false // also if one lane has failed
    })
    churned.catch(() => undefined) // awaited below
    using stack = new DisposableStack()
    const clients = Array.from({ length: 4 }, () => stack.use(new KeptClient(house.port)))
    for (let part = 1; part <= PARTS; part += 1) {
      let left = ANSWERS / PARTS - 1
      const ask = async (client: KeptClient): Promise<void> => {
        while (goesOn && (left > 0 || removals < (part * REMOVALS) / PARTS)) {
          left -= 1
          const { status, body } = await client.ask('steady', '/env')
          assert.deepEqual([status, nameIn(body)], [200, 'steady'], body)
        }
      }
      await Promise.all(clients.map(ask))
      const { status, body } = await (clients[0] as KeptClient).ask('steady', '/die?code=1')
      assert.deepEqual([status, JSON.parse(body).code], [502, 'app-crashed'])
      await house.admin.call('wakeApp', { params: { app: 'steady' } })
    }
    goesOn = false
    await churned
  })
})

test('an answer that was begun is cut, and a WebSocket is closed, when their app dies', async () => {
  await using shadow = await Shadow.start()
  await named(shadow.admin, 'victim')
  const socket = await shadow.webSocket('victim')
  const closed = new Promise(resolve => socket.once('close', resolve))
  const begun = await shadow.begin('victim', '/download?id=x').response
  const [, { status }] = await Promise.all([assert.rejects(text(begun)), shadow.ask('victim', '/die?code=6'), closed])
  assert.equal(status, 502)
})

test('an app that closes its port for a moment loses no request that it has not seen', async () => {
  await using shadow = await Shadow.start()
  await named(shadow.admin, 'reloads')
  assert.equal((await shadow.ask('reloads', '/reload?ms=1500')).status, 200)
  const answers = await Promise.all(Array.from({ length: 5 }, () => shadow.ask('reloads', '/env')))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
})

test('the kernel’s word on a process that used too much memory is told, though the app goes on', async () => {
  await using shadow = await Shadow.start()
  // A supervisor that restarts its worker, as gunicorn does.
  const again =
    "const go = () => require('node:child_process').spawn('node', ['/srv/app.mjs'], { stdio: 'inherit' }).on('exit', go); go()"
  const command = ['node', '-e', again]
  await register(shadow.admin, 'supervised', {
    env: { NAME: 'supervised' },
    limits: { ...SMALL, memory: size('192MiB') },
    command,
  })
  const first = await shadow.ask('supervised', '/env')
  assert.equal(first.status, 200, first.text)
  const killed = await shadow.ask('supervised', '/eat?bytes=400000000')
  assert.deepEqual([killed.status, killed.json.code], [502, 'app-crashed'])
  const view = await shadow.instance('supervised')
  assert.equal(view.phase, 'awake')
  assert.equal(view.memoryKill?.count, 1)
  await shadow.untilLogged('supervised', /a process was killed because the app used more than its 192MiB of memory/)
  assert.equal((await shadow.ask('supervised', '/env')).status, 200)
})

/** The boots of the victim, from its log. */
async function boots(admin: MasterClient): Promise<string[]> {
  const { body } = await admin.raw('appLogs', { params: { app: 'victim' }, query: { tail: 1000 } })
  return (await text(body)).split('\n').filter(line => line.includes('booted '))
}
