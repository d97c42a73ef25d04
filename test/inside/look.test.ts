import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'

const SHADOW = join(import.meta.dirname, '../../bin/shadow')
const execute = promisify(execFile)
const SERVES =
  'mkdir -p /srv/l; echo outside > /srv/x; echo loopback > /srv/l/x; httpd -p 127.0.0.1:9229 -h /srv/l; echo one; echo error two; exec httpd -f -p $PORT -h /srv'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
  const image = await builtImage('look', `CMD ["sh", "-c", "${SERVES.replaceAll('"', '\\"')}"]`)
  await shadow.register('blog', {
    image,
    volume: { size: '16MiB' },
    sleep: { idleAfter: '30s' },
    env: { SECRET: 'kept' },
  })
})
afterAll(() => shadow[Symbol.asyncDispose]())

const env = () => ({ SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken })

async function cli(...words: string[]) {
  const terminal = new FakeTerminal({ env: env() })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, bytes: Buffer.concat(terminal.bytes).toString(), err: terminal.stderr }
}

/** Ends a program and waits for its end. */
async function end(child: ReturnType<typeof spawn>): Promise<void> {
  const over = once(child, 'exit')
  child.kill('SIGTERM')
  await over
}

const containers = async (): Promise<string[]> =>
  (
    await execute('docker', ['ps', '--all', '--filter', `label=shadow.node=${shadow.node}`, '--format', '{{.Names}}'])
  ).stdout
    .split('\n')
    .filter(name => name.includes('console'))

test('a console runs in a container of its own: the variables are there, the volume is not, the app sleeps on', async () => {
  const { exit, bytes, err } = await cli(
    'console',
    'blog',
    '--',
    'sh',
    '-c',
    'echo "$SECRET"; grep " /data " /proc/mounts || echo none; exit 6',
  )
  assert.equal(exit, 6, err)
  assert.match(bytes, /^kept\nnone\n$/)
  assert.equal((await shadow.instance('blog')).phase, 'asleep')
  assert.deepEqual(await containers(), [])
})

test('the container of a console whose client vanishes is removed, and the sweep leaves an open one alone', async () => {
  const child = spawn(SHADOW, ['console', 'blog', '--', 'sh', '-c', 'echo up; sleep 5555'], {
    env: { ...process.env, ...env() },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  await once(child.stdout, 'data')
  await shadow.pass(31_000) // the sweep comes every 30 s; the client's own clock does not leap
  assert.equal((await containers()).length, 1)
  child.kill('SIGKILL')
  await until(async () => ((await containers()).length === 0 ? true : undefined))
})

test('a program that the image does not have ends its console as in a shell, and nothing is left', async () => {
  const { exit, err } = await cli('console', 'blog', '--', 'no-such-program')
  assert.equal(exit, 127)
  assert.match(err, /no-such-program/)
  assert.deepEqual(await containers(), [])
})

test('ports of the container are reached from here, also those of its loopback; each connection holds the app', async () => {
  const child = spawn(SHADOW, ['port-forward', 'blog', '0:8000', '0:9229', '0:7777', '--json'], {
    env: { ...process.env, ...env() },
  })
  const ports = new Map<number, number>()
  for await (const line of createInterface({ input: child.stdout })) {
    const { local, remote } = JSON.parse(line) as { local: string; remote: number }
    ports.set(remote, Number(local.split(':')[1]))
    if (ports.size === 3) break
  }
  const get = async (remote: number): Promise<string> => {
    const socket = connect(ports.get(remote) ?? 0, '127.0.0.1')
    socket.on('error', () => undefined).write('GET /x HTTP/1.0\r\n\r\n')
    return text(socket).catch(() => 'reset')
  }
  assert.match(await get(8000), /outside\n$/)
  assert.match(await get(9229), /loopback\n$/)
  const said = once(child.stderr, 'data')
  assert.equal(await get(7777), 'reset')
  assert.match(String(await said), /nothing in the container of blog accepts connections on port 7777/)

  // The clock leaps by less than what a session may be silent for, as its client's pings do not leap.
  const open = connect(ports.get(8000) ?? 0, '127.0.0.1')
  await shadow.until('blog', ({ holds }) => holds.some(({ what }) => what === 'connection to port 8000 by token admin'))
  await shadow.pass(31_000)
  assert.equal((await shadow.instance('blog')).phase, 'awake')
  open.destroy()
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  await end(child)
})

test('stats show what an awake app uses, by figures of the kernel', async () => {
  await shadow.wake('blog')
  const { out } = await cli('stats', 'blog', '--json')
  const [one] = JSON.parse(out).instances
  assert.equal(one.instance, 'blog')
  assert.ok(one.cpuPercent >= 0 && one.memoryBytes > 10_000 && one.memoryLimitBytes === 512 * 2 ** 20, out)
  assert.ok(one.pids >= 2 && one.volume.sizeBytes > 0, out)
  assert.match((await cli('stats')).out, /^app +cpu +memory.*\nblog +\d+\.\d%/)
})

test('logs are searched by time and by pattern on the node', async () => {
  await shadow.wake('blog')
  await shadow.untilLogged('blog', /error two/)
  const { out } = await cli('logs', 'blog', '--grep', '^error', '-n', '1')
  assert.match(out, /^\S+ \S+ {3}error two\n$/)
  assert.equal((await cli('logs', 'blog', '--until', '2001-01-01', '-n', '5')).out, '')
  assert.match((await cli('logs', 'blog', '--since', '1h', '-n', '500')).out, /one\n/)
  const wrong = await cli('logs', 'blog', '--grep', '(')
  assert.deepEqual([wrong.exit, /grep: is not a regular expression/.test(wrong.err)], [2, true])
  const when = await cli('logs', 'blog', '--since', 'yesterday')
  assert.deepEqual([when.exit, /since: .*yesterday/.test(when.err)], [2, true])
})

test('in a pipe, status --watch prints what has changed, and nothing animated', async () => {
  const child = spawn(SHADOW, ['status', 'blog', '--watch'], { env: { ...process.env, ...env() } })
  child.stdout.setEncoding('utf8')
  let said = ''
  child.stdout.on('data', chunk => {
    said += chunk
  })
  await until(() => (/state +awake/.test(said) ? true : undefined))
  await shadow.sleep('blog')
  await until(() => (/state +asleep/.test(said) ? true : undefined))
  await end(child)
  assert.ok(!said.includes('\u001b'), JSON.stringify(said))
})
