import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'
import { isStopped, pidOf } from '../tools/stopped.ts'

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
const sleep = { freezeAfter: '1m' } as const
/** The app's server closes connections that are idle for this long, as servers of Node do by themselves. */
const KEEP_ALIVE_MS = 5_000

let shadow: Shadow

beforeAll(async () => {
  shadow = await Shadow.start()
})

afterAll(() => shadow[Symbol.asyncDispose]())

const bootOf = async (app: string): Promise<string> => JSON.parse((await shadow.ask(app)).text).boot.id

async function containerOf(app: string): Promise<string> {
  const [id = ''] = await shadow.containers(app)
  return id
}

async function frozen(app: string): Promise<void> {
  await shadow.pass(60_000)
  await shadow.until(app, 'frozen')
}

describe('an app that is frozen', () => {
  test('keeps its memory, is stopped by the kernel, and answers the next request from the same container', async () => {
    await shadow.register('blog', { volume: { size: '16MiB' }, sleep })
    const boot = await bootOf('blog')
    const before = await shadow.containers('blog')
    await frozen('blog')
    assert.ok(await isStopped(await containerOf('blog')))
    assert.equal(await bootOf('blog'), boot)
    const { phase, lastWake } = await shadow.instance('blog')
    assert.deepEqual([phase, lastWake?.steps], ['awake', {}])
    assert.deepEqual(await shadow.containers('blog'), before)
    assert.match((await shadow.logs('blog')).map(({ line }) => line).join('\n'), /frozen: idle\n.*thawed after/)
  })

  test('answers a POST though its own idle connections have timed out meanwhile', async () => {
    await frozen('blog')
    await wait(KEEP_ALIVE_MS + 1_000)
    const body = Buffer.alloc(100_000, 'x')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => shadow.ask('blog', '/echo', { method: 'POST', body })),
    )
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  })

  test('sleeps in order at the end of its idle time, and keeps its data', async () => {
    await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
    await frozen('blog')
    await shadow.pass(240_000)
    const { stoppedBy } = await shadow.until('blog', 'asleep')
    assert.equal(stoppedBy, 'idle')
    assert.match((await shadow.logs('blog')).map(({ line }) => line).join('\n'), /frozen: idle\n(.*\n)*got SIGTERM/)
    assert.deepEqual(await shadow.containers('blog'), [])
    assert.equal((await shadow.ask('blog', '/files/page')).text, 'kept')
  })

  test('is frozen by hand while nobody uses it, and put to sleep by hand', async () => {
    const slow = shadow.ask('blog', '/slow?ms=500')
    await shadow.until('blog', ({ holds }) => holds.length > 0)
    await assert.rejects(freeze('blog'), error => isFailure(error, 'app-in-use'))
    assert.equal((await slow).status, 200)
    await shadow.until('blog', ({ holds }) => holds.length === 0)
    assert.equal((await freeze('blog')).phase, 'frozen')
    assert.equal((await freeze('blog')).phase, 'frozen')
    assert.equal((await shadow.sleep('blog')).phase, 'asleep')
    await assert.rejects(freeze('blog'), error => isFailure(error, 'app-asleep'))
  })

  test('is in the stats with the memory that it keeps', async () => {
    await bootOf('blog')
    await freeze('blog')
    const { items } = await shadow.admin.call('listStats', {})
    const own = items.find(({ instance }) => instance === 'blog')
    assert.ok(own !== undefined && own.memoryBytes > 2 ** 20, JSON.stringify(items))
    assert.equal((await shadow.instance('blog')).phase, 'frozen')
  })

  test('whose container is killed is started anew by the next request', async () => {
    const boot = await bootOf('blog')
    await freeze('blog')
    const [id = ''] = await shadow.containers('blog')
    await docker('kill', id)
    const answer = await shadow.ask('blog')
    assert.equal(answer.status, 200)
    assert.notEqual(JSON.parse(answer.text).boot.id, boot)
  })

  test('whose first process is killed by the machine is started anew by the next request, with its data', async () => {
    const boot = await bootOf('blog')
    await freeze('blog')
    process.kill(await pidOf(await containerOf('blog')), 'SIGKILL')
    const answer = await shadow.ask('blog', '/files/page')
    assert.deepEqual([answer.status, answer.text], [200, 'kept'])
    assert.notEqual(await bootOf('blog'), boot)
    assert.match((await shadow.logs('blog')).map(({ line }) => line).join('\n'), /SIGKILL/)
  })

  test('that uses more memory than it may as soon as it goes on is told of as that, and starts anew', async () => {
    await shadow.register('hungry', { limits: { memory: '96MiB' }, sleep })
    const boot = await bootOf('hungry')
    await shadow.ask('hungry', `/eat?bytes=${400 * 2 ** 20}&after=200`)
    await freeze('hungry')
    await wait(300)
    assert.equal((await shadow.instance('hungry')).phase, 'frozen')
    // Its timer rings as soon as it runs. The request may be answered before that.
    const { status, headers } = await shadow.ask('hungry', '/slow?ms=5000')
    assert.deepEqual([status, headers['x-shadow-error']], [502, 'app-crashed'])
    const { problem } = await shadow.until('hungry', 'crashed')
    assert.equal(problem?.facts?.['outOfMemory'], 1)
    assert.notEqual(await bootOf('hungry'), boot)
  })

  test('has its client answered on the connection that it kept meanwhile', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const asked = async (): Promise<Socket> => {
      const sent = request({ port: shadow.port, agent, path: '/', headers: { host: 'blog.localhost' } }).end()
      const [answer] = await once(sent, 'response')
      assert.equal(answer.statusCode, 200)
      const { socket } = answer
      await once(answer.resume(), 'end')
      return socket
    }
    const socket = await asked()
    await freeze('blog')
    assert.equal(socket.destroyed, false)
    assert.equal(await asked(), socket)
    agent.destroy()
  })

  test('goes on with what it did by its timers, and its clock shows how long it was frozen', async () => {
    await shadow.register('diary', { volume: { size: '16MiB' }, env: { JOURNAL: '1' }, sleep })
    const times = async (): Promise<number[]> =>
      (await shadow.ask('diary', '/files/journal')).text.split('\n').flatMap(line => Number(line.split(' ')[1]) || [])
    await until(async () => ((await times()).length > 2 ? true : undefined))
    await freeze('diary')
    const from = Date.now()
    await wait(1_500)
    const before = await times() // which thaws it
    await until(async () => ((await times()).length > before.length + 2 ? true : undefined))
    const gaps = (await times()).map((at, i, all) => at - (all[i - 1] ?? at))
    assert.ok(Math.max(...gaps) >= 1_400, `the longest gap is ${Math.max(...gaps)} ms`)
    assert.ok((await times()).at(-1)! >= from + 1_500)
  })

  test('keeps its times when the wall clock of its node jumps, and serves', async () => {
    const boot = await bootOf('blog')
    await frozen('blog')
    for (const ms of [86_400_000, -2 * 86_400_000]) {
      shadow.clock.setWall(ms)
      await shadow.spoken()
      assert.equal((await shadow.instance('blog')).phase, 'frozen')
    }
    shadow.clock.setWall(86_400_000)
    assert.equal(await bootOf('blog'), boot)
    await frozen('blog')
    await shadow.pass(240_000)
    await shadow.until('blog', 'asleep')
  })

  test('stays so while its node is restarted, and serves on', async () => {
    const boot = await bootOf('blog')
    await freeze('blog')
    await shadow.stop()
    assert.ok(await isStopped(await containerOf('blog')), 'the node leaves it as it is')
    await shadow.startAgain()
    assert.equal((await shadow.until('blog', 'frozen')).container?.id, (await shadow.containers('blog'))[0])
    assert.ok(await isStopped(await containerOf('blog')), 'the next run leaves it so too')
    assert.equal(await bootOf('blog'), boot)
    await freeze('blog')
    const { text } = await shadow.ask('blog', '/files/page')
    assert.equal(text, 'kept')
  })

  test('keeps a WebSocket that does not keep it awake, and reads what came meanwhile once it goes on', async () => {
    await shadow.register('chat', { sleep: { ...sleep, webSockets: 'ignore' } })
    await shadow.ask('chat')
    const socket = await shadow.webSocket('chat')
    await freeze('chat')
    socket.send('said meanwhile')
    const message = once(socket, 'message')
    await wait(200)
    assert.equal((await shadow.instance('chat')).phase, 'frozen')
    await shadow.ask('chat')
    assert.equal(String((await message)[0]), 'said meanwhile')
    socket.close()
  })

  test('of an image with a health check is paused by Docker, which then checks it no more', async () => {
    const image = await builtImage(
      'checked',
      'HEALTHCHECK --interval=1s --timeout=1s CMD true',
      'CMD ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 8000 -h /tmp"]',
    )
    await shadow.register('checked', { image, sleep, ready: { kind: 'healthcheck' } })
    await shadow.ask('checked', '/index.html')
    await freeze('checked')
    const [id = ''] = await shadow.containers('checked')
    assert.equal(await docker('inspect', '--format', '{{.State.Status}}', id), 'paused')
    assert.equal((await shadow.ask('checked', '/index.html')).text, 'hello\n')
    assert.equal(await docker('inspect', '--format', '{{.State.Status}}', id), 'running')
    await freeze('checked')
    await shadow.stop()
    await shadow.startAgain()
    assert.equal((await shadow.ask('checked', '/index.html')).text, 'hello\n')
    assert.deepEqual(await shadow.containers('checked'), [id])
  })
})

const freeze = (app: string) => shadow.admin.call('sleepApp', { params: { app }, query: { to: 'frozen' } })
