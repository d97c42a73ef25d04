import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Sandbox as SandboxOf } from 'e2b'
import { afterAll, afterEach, beforeAll, describe, test } from 'vitest'
import { sandboxImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'

let shadow: Shadow
let Sandbox: typeof SandboxOf
let made: SandboxOf[] = []
beforeAll(async () => {
  shadow = await Shadow.start()
  const image = await sandboxImage()
  const ready = { kind: 'started' } as const
  const volume = { size: '64MiB', path: '/home/user' } as const
  await shadow.admin.call('registerApp', {
    body: { name: 'base', image, ready, volume, template: { visitors: 'all', ports: 'all' } },
  })
  await shadow.admin.call('registerApp', { body: { name: 'plain', image, ready, template: {} } })
  const { token } = await shadow.admin.call('createToken', {
    body: { name: 'agent', role: 'owner', apps: ['base', 'plain', 'none'] },
  })
  const url = `${shadow.up.masterUrl}/e2b`
  Object.assign(process.env, { E2B_API_URL: url, E2B_SANDBOX_URL: url, E2B_API_KEY: token })
  ;({ Sandbox } = await import('e2b'))
})
afterAll(async () => {
  for (const name of ['E2B_API_URL', 'E2B_SANDBOX_URL', 'E2B_API_KEY']) delete process.env[name]
  await shadow[Symbol.asyncDispose]()
})
afterEach(async () => {
  await Promise.all(made.splice(0).map(sandbox => sandbox.kill()))
})

async function create(template = 'base', options: Parameters<typeof SandboxOf.create>[1] = {}): Promise<SandboxOf> {
  const sandbox = await Sandbox.create(template, options)
  made = [...made, sandbox]
  return sandbox
}
/** What a call of the package fails with. */
const failure = (call: Promise<unknown>): Promise<Error & { exitCode?: number; stderr?: string; error?: string }> =>
  call.then(
    () => assert.fail('it did not fail'),
    error => error,
  )

describe('commands', () => {
  test('run as the user of the image, with the variables of both, and tell output and exit code', async () => {
    const sandbox = await create('base', { envs: { OF_ALL: 'one' } })
    const ran = await sandbox.commands.run('echo $OF_ALL $OWN; id -un; pwd; echo oops >&2', { envs: { OWN: 'two' } })
    assert.deepEqual([ran.stdout, ran.stderr], ['one two\nuser\n/home/user\n', 'oops\n'])
    const asRoot = await sandbox.commands.run('id -un; pwd', { user: 'root', cwd: '/tmp' })
    assert.equal(asRoot.stdout, 'root\n/tmp\n')
    const failed = await failure(sandbox.commands.run('echo no >&2; exit 3'))
    assert.deepEqual([failed.name, failed.exitCode, failed.stderr], ['CommandExitError', 3, 'no\n'])
    assert.equal((await failure(sandbox.commands.run('nosuchcommand'))).exitCode, 127)
    assert.match((await failure(sandbox.commands.run('pwd', { cwd: '/not/there' }))).message, /folder/)
  })

  test('in the background take input, are listed, connected to and killed, and go on when their client leaves', async () => {
    const sandbox = await create()
    const cat = await sandbox.commands.run('cat; echo over', { background: true, stdin: true })
    await cat.sendStdin('ä1\n')
    await cat.sendStdin('2\n')
    await cat.closeStdin()
    assert.equal((await cat.wait()).stdout, 'ä1\n2\nover\n')
    const reader = await sandbox.commands.run('read line; echo got $line; sleep 1000', {
      background: true,
      stdin: true,
    })
    await reader.disconnect()
    const [listed] = await sandbox.commands.list()
    assert.deepEqual([listed?.pid, listed?.cmd], [reader.pid, '/bin/bash'])
    await sandbox.commands.sendStdin(reader.pid, 'this\n')
    const got = Promise.withResolvers<string>()
    const again = await sandbox.commands.connect(reader.pid, { onStdout: got.resolve })
    assert.equal(await got.promise, 'got this\n')
    assert.equal((await sandbox.commands.run(`kill -0 ${reader.pid} && echo lives`)).stdout, 'lives\n')
    assert.equal(await again.kill(), true)
    const killed = await failure(again.wait())
    assert.deepEqual([killed.exitCode, killed.error], [-1, 'signal: killed'])
    assert.equal(await sandbox.commands.kill(reader.pid), false)
  })

  test('whose time is over are ended', async () => {
    const sandbox = await create()
    const late = await failure(sandbox.commands.run('sleep 1000', { timeoutMs: 1_000 }))
    assert.equal(late.name, 'TimeoutError')
    await until(async () => ((await sandbox.commands.list()).length === 0 ? true : undefined))
  })

  test('in a terminal see its size, also as it changes', async () => {
    const sandbox = await create()
    let said = ''
    const terminal = await sandbox.pty.create({
      ...{ cols: 80, rows: 24, timeoutMs: 0 },
      onData: bytes => {
        said += Buffer.from(bytes).toString()
      },
    })
    await sandbox.pty.resize(terminal.pid, { cols: 100, rows: 30 })
    await sandbox.pty.sendInput(terminal.pid, Buffer.from('stty size; exit 7\n'))
    assert.equal((await failure(terminal.wait())).exitCode, 7)
    assert.match(said, /30 100/)
  })
})

describe('files', () => {
  test('are written, read, listed, renamed and removed, whatever their names', async () => {
    const { files, commands } = await create()
    const odd = 'new/x y "$(touch no)"\'.txt'
    assert.equal((await files.write(odd, 'content')).path, `/home/user/${odd}`)
    assert.equal(await files.read(odd), 'content')
    const bytes = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251)
    await files.write([
      { path: '/tmp/bytes', data: bytes.buffer },
      { path: 'empty', data: '' },
    ])
    assert.deepEqual(await files.read('/tmp/bytes', { format: 'bytes' }), bytes)
    assert.equal(await files.read('empty'), '')
    await files.write('stream', new Blob(['a stream']).stream())
    await files.write('packed', 'by gzip', { gzip: true })
    assert.deepEqual([await files.read('stream'), await files.read('packed')], ['a stream', 'by gzip'])
    assert.equal(
      (await commands.run('stat -c "%U %a" packed; ls no 2>&1 | wc -l; ls')).stdout.split('\n')[0],
      'user 644',
    )

    const names = async (depth: number) =>
      (await files.list('/home/user/new', { depth })).map(({ path, type }) => `${type} ${path}`)
    await files.makeDir('new/deep/er')
    assert.equal(await files.makeDir('new/deep'), false)
    assert.deepEqual(await names(1), ['dir /home/user/new/deep', `file /home/user/${odd}`])
    assert.deepEqual(await names(2), [
      'dir /home/user/new/deep',
      'dir /home/user/new/deep/er',
      `file /home/user/${odd}`,
    ])
    const moved = await files.rename(odd, 'else/where')
    assert.deepEqual(
      [moved.path, moved.size, moved.owner, moved.permissions],
      ['/home/user/else/where', 7, 'user', '-rw-r--r--'],
    )
    assert.deepEqual([await files.exists(odd), await files.exists('else/where')], [false, true])
    await files.remove('new')
    assert.equal(await files.exists('new/deep'), false)
  })

  test('that are not there, are folders or belong to root are refused by their names', async () => {
    const { files } = await create()
    assert.equal((await failure(files.read('none'))).name, 'FileNotFoundError')
    assert.equal((await failure(files.list('none'))).name, 'FileNotFoundError')
    assert.equal((await failure(files.getInfo('none'))).name, 'FileNotFoundError')
    assert.equal((await failure(files.rename('none', 'some'))).name, 'FileNotFoundError')
    assert.match((await failure(files.read('/home'))).message, /is a folder/)
    assert.match((await failure(files.write('/etc/passwd', 'x'))).message, /denied/i)
    await files.write('/etc/mine', 'of root', { user: 'root' })
    assert.equal(await files.read('/etc/mine'), 'of root')
  })

  test('are watched: what is made, written, renamed and removed is told', async () => {
    const { files, commands } = await create()
    await files.makeDir('seen/in')
    const told: string[] = []
    const handle = await files.watchDir('seen', ({ type, name }) => void told.push(`${type} ${name}`), {
      recursive: true,
      timeoutMs: 0,
    })
    const untilTold = (what: string) => until(async () => (told.includes(what) ? true : undefined))
    await commands.run('echo 1 > seen/in/a')
    await untilTold('write in/a')
    await commands.run('mv seen/in/a seen/b')
    await untilTold('create b')
    await commands.run('chmod 600 seen/b')
    await untilTold('chmod b')
    await files.remove('seen/b')
    await untilTold('remove b')
    await handle.stop()
    assert.deepEqual(told, ['create in/a', 'write in/a', 'rename in/a', 'create b', 'chmod b', 'remove b'])
    assert.equal((await failure(files.watchDir('none', () => undefined))).name, 'FileNotFoundError')
  })

  test('have signed URLs, which open that one file, for as long as they say', async () => {
    const sandbox = await create()
    await sandbox.files.write('a b', 'signed')
    const url = await sandbox.downloadUrl('a b', { useSignatureExpiration: 60 })
    assert.equal(await (await fetch(url)).text(), 'signed')
    assert.equal((await fetch(url.replace('a+b', 'c'))).status, 401)
    assert.equal((await fetch(url, { method: 'POST', body: 'x' })).status, 401)
    const form = new FormData()
    form.append('file', new Blob(['uploaded']), 'ignored')
    assert.equal((await fetch(await sandbox.uploadUrl('up'), { method: 'POST', body: form })).status, 200)
    assert.equal(await sandbox.files.read('up'), 'uploaded')
    const short = await sandbox.downloadUrl('a b', { useSignatureExpiration: -1 })
    assert.equal((await fetch(short)).status, 401)
  })
})

describe('a sandbox', () => {
  test('is paused, and has its files when it is connected to again', async () => {
    const sandbox = await create('base', { metadata: { of: 'pause' } })
    await sandbox.files.write('kept', 'as it was')
    const asleep = await sandbox.commands.run('sleep 1000', { background: true, timeoutMs: 0 })
    assert.deepEqual([await sandbox.pause(), await sandbox.pause(), await sandbox.isRunning()], [true, false, false])
    assert.deepEqual(
      [(await sandbox.getInfo()).state, (await failure(asleep.wait())).name.length > 0],
      ['paused', true],
    )
    assert.deepEqual(await shadow.containers(`base--${sandbox.sandboxId}`), [])
    assert.equal((await failure(sandbox.commands.run('pwd'))).name, 'SandboxNotFoundError')
    const query = { metadata: { of: 'pause' }, state: ['paused' as const] }
    assert.deepEqual(
      (await Sandbox.list({ query }).nextItems()).map(one => one.sandboxId),
      [sandbox.sandboxId],
    )
    const again = await Sandbox.connect(sandbox.sandboxId)
    assert.equal(await again.files.read('kept'), 'as it was')
    assert.deepEqual([await again.isRunning(), (await again.commands.list()).length], [true, 0])
    assert.match((await failure(Sandbox.pause((await create('plain')).sandboxId))).message, /no volume/)
  })

  test('ends or is paused when its time-out is over, however busy it is, and not before', async () => {
    const ends = await create('base', { timeoutMs: 120_000 })
    const pauses = await create('base', { timeoutMs: 120_000, lifecycle: { onTimeout: 'pause' } })
    await pauses.files.write('kept', 'still here')
    await ends.setTimeout(200_000)
    await shadow.pass(70_000)
    assert.deepEqual([await ends.isRunning(), await pauses.isRunning()], [true, true])
    await shadow.pass(50_000)
    await until(async () => ((await pauses.getInfo()).state === 'paused' ? true : undefined))
    assert.equal(await ends.isRunning(), true)
    assert.equal(await (await Sandbox.connect(pauses.sandboxId)).files.read('kept'), 'still here')
    await shadow.pass(90_000)
    await until(async () => ((await ends.isRunning()) ? undefined : true))
    assert.equal((await failure(Sandbox.connect(ends.sandboxId))).name, 'SandboxNotFoundError')
  })

  test('has snapshots, and others begin with the files of one; a fork begins with those of now', async () => {
    const sandbox = await create('base', { envs: { OWN: 'one' }, metadata: { of: 'copies' } })
    await sandbox.files.write('file', 'then')
    const { snapshotId, names } = await sandbox.createSnapshot({ name: 'before' })
    assert.deepEqual(names, ['before'])
    await sandbox.files.write('file', 'now')
    const old = await create(snapshotId)
    assert.equal(await old.files.read('file'), 'then')
    const [fork, other] = await sandbox.fork({ count: 2 })
    assert.ok(fork instanceof Sandbox && other instanceof Sandbox, String(fork))
    made.push(fork, other)
    await fork.files.write('file', 'of the fork')
    assert.deepEqual([await sandbox.files.read('file'), await other.files.read('file')], ['now', 'now'])
    assert.equal((await other.commands.run('echo $OWN')).stdout, 'one\n')
    assert.deepEqual(await sandbox.listSnapshots().nextItems(), [{ snapshotId, names: ['before'] }])
    assert.deepEqual(
      [await Sandbox.deleteSnapshot(snapshotId), await Sandbox.deleteSnapshot(snapshotId)],
      [true, false],
    )
    assert.equal((await failure(Sandbox.create(snapshotId))).message.startsWith('404'), true)
  })

  test('has a hostname for each of its ports, by which visitors reach what listens there', async () => {
    const sandbox = await create()
    await sandbox.files.write('index.html', 'from a port')
    await sandbox.commands.run('exec busybox httpd -f -p 3000 -h .', { background: true })
    const host = sandbox.getHost(3000)
    assert.equal(host, `3000-${sandbox.sandboxId}.base.localhost:${shadow.port}`)
    const answer = await until(async () => {
      const seen = await shadow.ask(host)
      return seen.status === 200 ? seen : undefined
    })
    assert.equal(answer.text, 'from a port')
    assert.equal((await shadow.ask(sandbox.getHost(3001))).headers['x-shadow-error'], 'app-unreachable')
  })

  test('tells what it uses, and is killed with all that it has', async () => {
    const sandbox = await create()
    const metrics = await until(async () => (await sandbox.getMetrics()).find(({ diskTotal }) => diskTotal > 0))
    assert.ok(metrics.memUsed > 0 && metrics.memTotal > metrics.memUsed, JSON.stringify(metrics))
    const app = `base--${sandbox.sandboxId}`
    assert.equal(await sandbox.kill(), true)
    assert.deepEqual([await sandbox.kill(), await sandbox.isRunning()], [false, false])
    assert.deepEqual(await shadow.containers(app), [])
    assert.ok(!(await shadow.admin.call('listVolumes', {})).items.some(({ id }) => (id as string) === app))
  })

  test('asked for something that Shadow lacks is answered by 501 with its name', async () => {
    const sandbox = await create()
    const said = async (call: Promise<unknown>) => (await failure(call)).message
    assert.match(await said(sandbox.updateNetwork({ denyOut: ['8.8.8.8'] })), /501: .*PUT \/sandboxes\/.*\/network/)
    assert.match(await said(Sandbox.create('base', { allowInternetAccess: false })), /501: .*allow_internet_access/)
    assert.match(await said(sandbox.pause({ keepMemory: true })), /501: .*memory/)
    assert.match(await said(sandbox.files.write('a', 'b', { metadata: { a: 'b' } })), /501: .*metadata/)
    assert.match(await said(Sandbox.create('none')), /404: .*shadow template create none/)
  })
})

describe('the package of PyPI', async () => {
  const run = promisify(execFile)
  const python = (await run(join(import.meta.dirname, '../../contrib/dev/find-e2b'))).stdout.trim()

  test.skipIf(python === '')(
    'does the same from Python: commands, files, watches, terminals, pause and kill',
    async () => {
      const { stdout } = await run(python, [join(import.meta.dirname, 'flow.py')], { timeout: 90_000 })
      assert.match(stdout, /all of it works/)
    },
  )
})
