import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, test } from 'vitest'
import type { App, Volume } from '../../src/model/app.ts'
import type { InstanceView } from '../../src/model/instance.ts'
import { dockerHost } from '../tools/docker-host.ts'
import { nodeImage } from '../tools/images.ts'
import { installed } from '../tools/installed.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { until } from '../tools/shadow.ts'

const run = promisify(execFile)

let built: Awaited<ReturnType<typeof installed>>
let data: string
let node: string
let env: Record<string, string>
const started: { child: ChildProcess; ended: Promise<unknown> }[] = []

beforeAll(async () => {
  built = await installed()
})
afterAll(() => built[Symbol.asyncDispose]())

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'shadow-test-cli-'))
  node = `test-cli-${randomUUID().slice(0, 8)}`
  env = {
    PATH: process.env['PATH'] ?? '',
    ...dockerHost(),
    HOME: data,
    SHADOW_DATA: data,
    SHADOW_NODE_NAME: node,
    SHADOW_MASTER_LISTEN: '127.0.0.1:0',
    SHADOW_NODE_LISTEN: '127.0.0.1:0',
  }
})
afterEach(async () => {
  await endAll()
  if ((await containers()).length > 0) {
    await up() // adopts the containers that a failed test left, so that its end puts them to sleep
    await endAll()
  }
  await removeNetworkOf(node)
  await rm(data, { recursive: true })
})

async function endAll(): Promise<void> {
  for (const { child, ended } of started.splice(0)) {
    child.kill('SIGINT')
    await ended
  }
}

type Listed = { apps: { name: string; phase: string; node: string | null }[] }
type Status = { instance: InstanceView | null; volume: Volume | null; urls: string[] }
type Spoken = { stdout: string; stderr: string; exit: number }

async function shadow(line: string): Promise<Spoken> {
  const child = spawn(built.shadow, line.split(' '), { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [exit]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { stdout, stderr, exit }
}

/** The output of the command with --json. The command must succeed. */
async function told<T = unknown>(line: string): Promise<T> {
  const { stdout, stderr, exit } = await shadow(`${line} --json`)
  assert.equal(exit, 0, stderr)
  return JSON.parse(stdout)
}

type Daemon = {
  front: string
  end: (signal: NodeJS.Signals) => Promise<number>
  /** Resolves when the daemon has written this to stderr; rejects if the daemon ends first. */
  said: (words: string) => Promise<void>
}

/** `shadow up` as a process of its own. Resolves when the process says that it is up. */
async function up(): Promise<Daemon> {
  const child = spawn(built.shadow, ['up', '--listen', '127.0.0.1:0'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  started.push({ child, ended })
  let all = ''
  child.stderr.setEncoding('utf8').on('data', chunk => {
    all += chunk
  })
  const said = async (words: string): Promise<void> => {
    while (!all.includes(words)) {
      await Promise.race([once(child.stderr, 'data'), ended])
      assert.ok(child.exitCode === null || all.includes(words), all)
    }
  }
  const end = async (signal: NodeJS.Signals): Promise<number> => {
    child.kill(signal)
    const [exit] = await ended
    return exit
  }
  await said('shadow is up')
  const { front } = JSON.parse(await readFile(join(data, 'up.json'), 'utf8'))
  return { front, end, said }
}

/** The answers of the journeys' app to `/` and `/env`. */
type Answer = { boot?: { id: string }; GREETING?: string }

async function get(front: string, path = '/', host = 'blog.localhost'): Promise<{ status: number; body: Answer }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    request(new URL(path, front), { headers: { host } }, resolve).on('error', reject).end(),
  )
  const body = await text(response)
  return { status: response.statusCode ?? 0, body: response.statusCode === 200 ? JSON.parse(body) : {} }
}

const containers = async (): Promise<string[]> => {
  const filters = ['--filter', `label=shadow.node=${node}`, '--filter', 'label=shadow.app']
  const { stdout } = await run('docker', ['ps', '--all', '--quiet', ...filters])
  return stdout.split('\n').filter(id => id !== '')
}

test('register, first request, ps, status, why, logs, sleep, wake, update, remove', async () => {
  const { front } = await up()
  const image = await nodeImage()
  const registered = await told<App>(
    `register blog --image ${image} --volume 32MiB --idle-after 1h --env GREETING=hello`,
  )
  assert.deepEqual(registered.domains, ['blog.localhost'])
  assert.deepEqual((await told<Listed>('ps')).apps[0]?.phase, 'asleep')

  assert.equal((await get(front, '/env')).body.GREETING, 'hello')
  const [app] = (await told<Listed>('ps')).apps
  assert.deepEqual([app?.name, app?.phase, app?.node], ['blog', 'awake', node])
  assert.match((await shadow('ps')).stdout, /^NAME +STATE .*\nblog +awake /)

  const status = await told<Status>('status blog')
  assert.equal(status.instance?.phase, 'awake')
  assert.equal(status.volume?.lease?.node, node)
  assert.deepEqual(status.urls, [`http://blog.localhost:${new URL(front).port}/`])
  const why = await told<{ why: string[] }>('why blog')
  assert.match(why.why.join('\n'), /It was woken by GET \/env from 127\.0\.0\.1/)
  assert.match(why.why.join('\n'), /it sleeps in (1h|59m)/)

  const lines = (await shadow('logs blog --json')).stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.ok(lines.some(({ stream }) => stream === 'shadow'))
  assert.ok(lines.some(({ stream }) => stream === 'stdout'))

  assert.equal((await told<InstanceView>('sleep blog')).phase, 'asleep')
  assert.deepEqual(await containers(), [])
  assert.match((await shadow('why blog')).stdout, /somebody asked for it/)

  const wake = await shadow('wake blog')
  assert.match(wake.stdout, new RegExp(`^blog is awake on ${node}\\n\\d+ ms: .*start \\d+.*ready \\d+`))
  assert.match((await shadow('wake blog')).stdout, /^blog is awake since /)

  const updated = await told<App>('update blog --env GREETING=again --add-domain b.localhost')
  assert.deepEqual([updated.task.revision, updated.domains], [2, ['blog.localhost', 'b.localhost']])
  assert.equal((await get(front, '/env', 'b.localhost')).body.GREETING, 'again')
  assert.equal((await told<{ releases: unknown[] }>('releases blog')).releases.length, 2)

  const asked = await shadow('remove blog --with-volume')
  assert.deepEqual([asked.exit, asked.stderr.includes('--yes')], [2, true])
  assert.deepEqual(await told('remove blog --with-volume --yes'), { removed: 'blog', volumeKept: null })
  assert.deepEqual(await containers(), [])
  assert.deepEqual((await told<{ volumes: unknown[] }>('volume ls')).volumes, [])
  assert.equal((await get(front)).status, 404)
  assert.equal((await shadow('status blog')).exit, 3)
})

test('access rules close an app without stopping it, and what they refuse wakes nothing', async () => {
  const { front } = await up()
  // The front learns of a change a moment after the master, without a signal to wait for.
  const untilAnswered = (status: number): Promise<Answer> =>
    until(async () => {
      const answer = await get(front)
      return answer.status === status ? answer.body : undefined
    })
  await told(`register blog --image ${await nodeImage()} --idle-after 1h --deny 127.0.0.0/8`)
  assert.equal((await get(front)).status, 403)
  assert.deepEqual(await containers(), [])

  await told('access blog --clear --deny 192.0.2.1')
  const { boot } = await untilAnswered(200)
  await told('access blog --rate 2/h --allow 127.0.0.1')
  assert.equal((await shadow('access blog')).stdout, 'allow  127.0.0.1\ndeny   192.0.2.1\nrate   2/h\n')
  await untilAnswered(429)
  await told('access blog --no-rate --forget 127.0.0.1')
  assert.deepEqual((await untilAnswered(200)).boot, boot)
  assert.equal((await told<{ releases: unknown[] }>('releases blog')).releases.length, 1)

  await told('access blog --allow 192.0.2.0/24')
  await untilAnswered(403)
  await told('sleep blog')
  assert.equal((await get(front)).status, 403)
  assert.deepEqual(await containers(), [])

  const wrong = await shadow('access blog --allow 10.0.0.1/8 --rate 5')
  assert.equal(wrong.exit, 2)
  assert.match(wrong.stderr, /--allow: .* write 10\.0\.0\.0\/8[\s\S]*--rate: "5" is not a rate/)
  await told('remove blog --yes')
})

test('logs -f goes on as the app writes, until the reader leaves', async () => {
  const { front } = await up()
  await told(`register blog --image ${await nodeImage()} --idle-after never`)
  await get(front)
  const child = spawn(built.shadow, ['logs', 'blog', '-f', '--json'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    said += chunk
    if (said.includes('"stdout"')) break
  }
  child.kill('SIGTERM')
  await told('remove blog --yes')
})

test('SIGTERM leaves the app running for the next start, SIGINT puts it to sleep; both exit 0', async () => {
  const first = await up()
  await told(`register blog --image ${await nodeImage()} --volume 32MiB`)
  const boot = (await get(first.front)).body.boot?.id
  assert.equal(await first.end('SIGTERM'), 0)
  assert.equal((await containers()).length, 1)
  assert.equal((await shadow('ps')).exit, 7)

  const second = await up()
  assert.equal((await get(second.front)).body.boot?.id, boot)
  assert.equal(await second.end('SIGINT'), 0)
  assert.deepEqual(await containers(), [])

  const third = await up()
  assert.notEqual((await get(third.front)).body.boot?.id, boot)
  await told('remove blog --with-volume --yes')
})

test('a second signal ends it at once, an app that will not stop notwithstanding', async () => {
  const { front, end, said } = await up()
  const stubborn = "process.on('SIGTERM',()=>{});require('http').createServer((_,r)=>r.end('{}')).listen(8000)"
  const registered = await shadow(`register blog --image ${await nodeImage()} --grace 10m -- node -e ${stubborn}`)
  assert.equal(registered.exit, 0, registered.stderr)
  assert.equal((await get(front)).status, 200)
  const exit = end('SIGINT')
  await said('"stopping"')
  await end('SIGINT')
  assert.equal(await exit, 130)
  const left = await containers()
  assert.equal(left.length, 1)
  await run('docker', ['rm', '--force', ...left])
})

test('a second shadow up on the same data folder is refused and harms nothing', async () => {
  const { front } = await up()
  await told(`register blog --image ${await nodeImage()}`)
  await get(front)
  const second = await shadow('up --listen 127.0.0.1:0')
  assert.equal(second.exit, 4)
  assert.match(second.stderr, /^error: another Shadow runs on .*\nhint: /m)
  assert.equal((await get(front)).status, 200)
  await told('remove blog --yes')
})

test('a front whose port is taken ends the start with its error, and holds nothing back', async () => {
  const first = await up()
  const taken = new URL(first.front).host
  const other = await mkdtemp(join(tmpdir(), 'shadow-test-cli-'))
  const second = await shadow(`up --data ${other} --listen ${taken}`)
  assert.equal(second.exit, 2)
  assert.match(second.stderr, new RegExp(`^error: cannot listen on ${taken}: it is in use`, 'm'))
  await rm(other, { recursive: true })
})

test('all settings that are wrong are told at once, and nothing is started', async () => {
  Object.assign(env, { SHADOW_MASTER_LISTEN: 'here', SHADOW_WAITING_PER_APP: 'many' })
  const { exit, stderr } = await shadow('up --listen there')
  assert.equal(exit, 2)
  for (const name of ['SHADOW_MASTER_LISTEN: "here"', 'SHADOW_WAITING_PER_APP: "many"', '--listen: "there"'])
    assert.match(stderr, new RegExp(`^ {2}${name}`, 'm'))
})
