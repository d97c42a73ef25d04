import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSession } from '../../src/cli/exec/run-session.ts'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { builtImage } from '../tools/images.ts'
import { isCode, Shadow, until } from '../tools/shadow.ts'
import { WebTerminal } from '../tools/web-terminal.ts'

const SHADOW = join(import.meta.dirname, '../../bin/shadow')
const execute = promisify(execFile)

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start({ env: { SHADOW_SESSION_IDLE: '3m' } })
  // busybox has a shell, and serves its folder: an app without a line of code.
  const image = await builtImage('shell', 'CMD ["sh", "-c", "mkdir -p /srv; exec httpd -f -p $PORT -h /srv"]')
  await shadow.register('blog', {
    image,
    volume: { size: '16MiB' },
    sleep: { idleAfter: '30s' },
    env: { SECRET: 'kept' },
  })
})
afterAll(() => shadow[Symbol.asyncDispose]())

const env = () => ({ SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken })

/** Runs a line of the CLI with this input. */
async function cli(words: readonly string[], input: Uint8Array | string = '') {
  const stdin = (async function* () {
    yield Buffer.from(input as string)
  })()
  const terminal = new FakeTerminal({ env: env(), stdin })
  const exit = await run(words, terminal)
  return { exit, out: Buffer.concat(terminal.bytes), err: terminal.stderr }
}

const sh = (script: string) => cli(['exec', 'blog', '--', 'sh', '-c', script])

const opened = (command: string[]) =>
  openSession(shadow.admin, { app: 'blog', wake: true }, { kind: 'exec', command }, shadow.clock)

/** The command lines of the processes in the container. */
async function processes(): Promise<string[]> {
  const [id = ''] = await shadow.containers('blog')
  return (await execute('docker', ['top', id, '-eo', 'pid,args'])).stdout.split('\n').slice(1)
}

const runs = async (words: string): Promise<boolean> => (await processes()).some(line => line.trimEnd().endsWith(words))

test('a frozen app goes on for a command', async () => {
  await shadow.wake('blog')
  const before = await shadow.containers('blog')
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  await shadow.admin.call('sleepApp', { params: { app: 'blog' }, query: { to: 'frozen' } })
  const { exit, out } = await sh('cat /proc/self/comm')
  assert.deepEqual([exit, out.toString()], [0, 'cat\n'])
  assert.deepEqual(await shadow.containers('blog'), before)
})

test('a command wakes the app; its stdout, stderr and exit code are those of the CLI', async () => {
  const { exit, out, err } = await sh('echo "$SECRET"; echo oh >&2; exit 7')
  assert.deepEqual([exit, out.toString(), err], [7, 'kept\n', 'oh\n'])
})

test('bytes pass through pipes both ways, all of them and in order', async () => {
  const bytes = randomBytes(8_000_000)
  const { exit, out } = await cli(['exec', 'blog', '--', 'tee', '/data/copy'], bytes)
  assert.equal(exit, 0)
  assert.ok(out.equals(bytes))
  const { out: hash } = await sh('sha256sum < /data/copy')
  assert.equal(hash.toString().split(' ')[0], createHash('sha256').update(bytes).digest('hex'))
})

test('an app with an open session never sleeps, why and status name it, and afterwards it does sleep', async () => {
  using session = await opened(['sleep', '1111'])
  await shadow.pass(120_000)
  const { phase, holds } = await shadow.instance('blog')
  assert.deepEqual(
    [phase, holds.map(({ kind, what }) => `${kind} ${what}`)],
    ['awake', ['session exec `sleep 1111` by token admin']],
  )
  for (const verb of ['why', 'status']) {
    const terminal = new FakeTerminal({ env: env() })
    await run([verb, 'blog'], terminal)
    assert.match(terminal.stdout, /exec `sleep 1111` by token admin/)
  }
  session[Symbol.dispose]()
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  await shadow.pass(35_000)
  await shadow.until('blog', 'asleep')
})

test('an app that sleeps is not woken if that was not wanted', async () => {
  await shadow.sleep('blog')
  const { exit, err } = await cli(['exec', '--no-wake', 'blog', '--', 'true'])
  assert.equal(exit, 4)
  assert.match(err, /asleep/)
  assert.equal((await shadow.instance('blog')).phase, 'asleep')
})

test('the processes of a client that vanishes are ended, and nothing holds the app any more', async () => {
  const child = spawn(SHADOW, ['exec', 'blog', '--', 'sh', '-c', 'sleep 2222 & sleep 2222; :'], {
    env: { ...process.env, ...env() },
    stdio: 'ignore',
  })
  await until(async () =>
    (await shadow.containers('blog')).length > 0 && (await runs('sleep 2222')) ? true : undefined,
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  await until(async () => ((await runs('sleep 2222')) ? undefined : true))
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  assert.equal((await shadow.instance('blog')).phase, 'awake')
})

test('Ctrl-C of a command in pipes reaches the command', async () => {
  const script = 'trap "echo bye; exit 9" INT; echo up; while :; do sleep 0.05; done'
  const child = spawn(SHADOW, ['exec', '-n', 'blog', '--', 'sh', '-c', script], { env: { ...process.env, ...env() } })
  await once(child.stdout, 'data')
  child.kill('SIGINT')
  const [[code], [last]] = await Promise.all([once(child, 'exit'), once(child.stdout, 'data')])
  assert.deepEqual([code, String(last)], [9, 'bye\n'])
})

test('on a terminal the command has one of its size, and its exit code is passed on', async () => {
  // The first size of a terminal is told to an older Docker when the command has begun.
  const inner = `sleep 0.5; stty size; tty; exit 5`
  const line = `stty rows 31 cols 99; ${SHADOW} exec blog -- sh -c '${inner}'; echo "code $?"`
  const { stdout } = await execute('script', ['--quiet', '--command', line, '/dev/null'], {
    env: { ...process.env, ...env(), TERM: 'xterm' },
  })
  assert.match(stdout, /31 99\r\n\/dev\/pts\/\d+\r\ncode 5/)
})

test('a program, a user and an app that are not there are told apart', async () => {
  const missing = await cli(['exec', 'blog', 'no-such-program'])
  assert.deepEqual([missing.exit, /no-such-program/.test(missing.err)], [5, true])
  const user = await cli(['exec', '-u', 'nobody-here', 'blog', 'true'])
  assert.deepEqual([user.exit, /nobody-here/.test(user.err)], [2, true])
  const app = await cli(['exec', 'blgo', 'true'])
  assert.deepEqual([app.exit, /did you mean.*blog/i.test(app.err)], [3, true])
})

test('a session that is not used ends by its limit, and says so', async () => {
  using session = await opened(['sleep', '3333'])
  const ended = session.read({ output: () => undefined })
  ended.catch(() => undefined)
  await shadow.pass(180_000)
  await assert.rejects(ended, isCode('too-slow', /not used for 3m/))
  await until(async () => ((await runs('sleep 3333')) ? undefined : true))
})

test('an app that is put to sleep ends its sessions, and their clients hear why', async () => {
  using session = await opened(['sleep', '4444'])
  const ended = session.read({ output: () => undefined })
  const asleep = shadow.sleep('blog')
  ended.catch(() => undefined)
  await shadow.until('blog', 'stopping')
  await shadow.pass(10_000)
  await assert.rejects(ended, isCode('app-asleep', /is being stopped/))
  expect((await asleep).phase).toBe('asleep')
})

/** Opens a terminal by a WebSocket. */
const webTerminal = ({
  query = '',
  headers = { authorization: `Bearer ${shadow.up.adminToken}` },
  isSlow = false,
}: {
  query?: string
  headers?: Readonly<Record<string, string>>
  isSlow?: boolean
} = {}) => WebTerminal.open({ url: `${shadow.up.masterUrl}/v1/apps/blog/terminal${query}`, headers, isSlow })

test('a terminal by WebSocket wakes the app, has a size, passes Ctrl-C on, and tells the exit code', async () => {
  await shadow.sleep('blog')
  const terminal = await webTerminal({ query: '?columns=91&rows=31' })
  await terminal.reply('started')
  terminal.type('stty size; echo "a-$SECRET-b"\n')
  await terminal.untilShown(/31 91[\s\S]*a-kept-b/)
  terminal.say({ resize: { columns: 132, rows: 43 } })
  await until(async () => {
    terminal.type('stty size\n')
    return terminal.text.includes('43 132') || undefined
  })
  terminal.type('sleep 5555; echo un""reached\n')
  await until(async () => ((await runs('sleep 5555')) ? true : undefined))
  terminal.type('\x03')
  await until(async () => ((await runs('sleep 5555')) ? undefined : true))
  terminal.type('exit 7\n')
  assert.deepEqual(await terminal.reply('exit'), { exit: { code: 7 } })
  assert.doesNotMatch(terminal.text, /unreached/)
})

test('a terminal holds the app, why names it, and the app can sleep once it is closed', async () => {
  const terminal = await webTerminal()
  await terminal.reply('started')
  await shadow.pass(60_000)
  assert.equal((await shadow.instance('blog')).phase, 'awake')
  const why = new FakeTerminal({ env: env() })
  await run(['why', 'blog'], why)
  assert.match(why.stdout, /by token admin/)
  terminal.socket.close()
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  await shadow.pass(35_000)
  await shadow.until('blog', 'asleep')
  const refused = await webTerminal({ query: '?wake=false' })
  const { failed } = await refused.reply('failed')
  assert.equal(failed.code, 'app-asleep')
  assert.equal((await shadow.instance('blog')).phase, 'asleep')
})

test('a terminal whose client shows nothing slows the command down, and one that types ahead too far is ended', async () => {
  const slow = await webTerminal({ isSlow: true })
  await slow.reply('started')
  slow.type('yes 123456789\n')
  let before = -1
  await until(async () => {
    const isStill = slow.bytes > 0 && slow.bytes === before
    before = slow.bytes
    return isStill || undefined
  })
  assert.ok(slow.bytes < 400_000, `${slow.bytes} bytes came`)
  slow.say({ taken: slow.bytes })
  await until(async () => slow.bytes > before || undefined)
  slow.socket.terminate()
  const eager = await webTerminal()
  await eager.reply('started')
  eager.type('sleep 6666\n')
  await until(async () => ((await runs('sleep 6666')) ? true : undefined))
  for (let count = 0; count < 20; count += 1) eager.type('x'.repeat(60_000))
  assert.equal((await eager.reply('failed')).failed.code, 'bad-input')
  await until(async () => ((await runs('sleep 6666')) ? undefined : true))
})

test('a terminal is refused without a token, to a token that may not, and where there is no Upgrade; its end is told when the token is revoked', async () => {
  await assert.rejects(webTerminal({ headers: {} }), /401/)
  const proxy = await shadow.admin.call('createToken', { body: { name: 'eve', role: 'proxy' } })
  await assert.rejects(webTerminal({ headers: { authorization: `Bearer ${proxy.token}` } }), /403/)
  const other = await shadow.admin.call('createToken', { body: { name: 'eve', role: 'owner', apps: ['other'] } })
  await assert.rejects(webTerminal({ headers: { authorization: `Bearer ${other.token}` } }), /403/)
  const plain = await fetch(`${shadow.up.masterUrl}/v1/apps/blog/terminal`, {
    headers: { authorization: `Bearer ${shadow.up.adminToken}` },
  })
  assert.equal(plain.status, 400)
  // An Upgrade at any other path is a plain request.
  const headers = { authorization: `Bearer ${shadow.up.adminToken}` }
  await assert.rejects(WebTerminal.open({ url: `${shadow.up.masterUrl}/v1/apps`, headers }), /200/)
  const { id, token } = await shadow.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['blog'] } })
  const terminal = await webTerminal({ headers: { authorization: `Bearer ${token}` } })
  await terminal.reply('started')
  await shadow.admin.call('removeToken', { params: { token: id } })
  assert.equal((await terminal.reply('failed')).failed.code, 'unauthorised')
  await shadow.until('blog', ({ holds }) => holds.length === 0)
})
