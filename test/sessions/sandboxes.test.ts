import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Sandbox, ShadowClient, ShadowFailure } from '../../src/sdk/main.ts'
import { busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
let client: ShadowClient
let sandbox: Sandbox
beforeAll(async () => {
  shadow = await Shadow.start()
  const image = await busyboxImage()
  const command = ['sh', '-c', 'mkdir -p /www && echo main > /www/index.html && exec httpd -f -p 8000 -h /www']
  const template = { ports: 'all', whenIdle: 'sleep' }
  await shadow.register('box', { image, command, template, sleep: { idleAfter: '1h' } } as object)
  client = new ShadowClient({ url: shadow.up.masterUrl, token: shadow.up.adminToken })
  sandbox = await client.createSandbox({ template: 'box' })
})
afterAll(() => shadow[Symbol.asyncDispose]())

const isFailure =
  (code: string, detail = /./) =>
  (error: unknown) =>
    error instanceof ShadowFailure && error.code === code && detail.test(error.message)

describe('a command in a sandbox', () => {
  test('has its output, its errors and its exit code apart, and gets input, variables, a folder and a user', async () => {
    const script = 'cat; echo $NAME $(pwd) $(id -u); echo bad >&2; exit 3'
    const options = { stdin: 'in\n', env: { NAME: 'ann' }, cwd: '/tmp', user: '1000' }
    assert.deepEqual(await sandbox.exec(script, options), {
      exitCode: 3,
      stdout: 'in\nann /tmp 1000\n',
      stderr: 'bad\n',
    })
    assert.equal((await sandbox.exec(['echo', '$HOME'])).stdout, '$HOME\n')
  })

  test('sends much more than a window each way, whole', async () => {
    const bytes = new Uint8Array(3_000_000).map((_, at) => at % 251)
    let [length, sum] = [0, 0]
    const onStdout = (piece: Uint8Array): void => {
      for (const [at, byte] of piece.entries()) sum += Number(byte === (length + at) % 251)
      length += piece.length
    }
    const { exitCode, stdout } = await sandbox.exec(['cat'], { stdin: bytes, onStdout })
    assert.deepEqual([exitCode, stdout, length, sum], [0, '', bytes.length, bytes.length])
  })

  test('has streams and a terminal of a size', async () => {
    // The size comes a moment after the command has begun.
    const script = 'stty -echo; for i in 1 2; do read line; stty size; echo "$line"; done'
    using shell = await sandbox.spawn(script, { tty: { columns: 90, rows: 20 } })
    const reader = shell.stdout.getReader()
    let shown = ''
    const until = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(shown)) {
        const { done, value } = await reader.read()
        if (done) throw new Error(`it ended after ${JSON.stringify(shown)}`)
        shown += new TextDecoder().decode(value)
      }
    }
    await shell.write('first\n')
    await until(/20 90\r\nfirst\r\n/)
    shell.resize({ columns: 100, rows: 30 })
    await shell.write('second\n')
    await until(/30 100\r\nsecond\r\n/)
    assert.equal(await shell.exitCode, 0)
  })

  test('is sent signals, and ends with its caller', async () => {
    // Nobody reads its stderr, to which the shell itself writes that the signal has ended sleep.
    using trapped = await sandbox.spawn(
      'trap "echo got; echo unread >&2; exit 5" TERM; echo ready; while :; do sleep 0.1; done',
    )
    const reader = trapped.stdout.getReader()
    assert.equal(new TextDecoder().decode((await reader.read()).value), 'ready\n')
    trapped.signal('TERM')
    assert.equal(new TextDecoder().decode((await reader.read()).value), 'got\n')
    assert.equal((await reader.read()).done, true)
    assert.equal(await trapped.exitCode, 5)
    const leaving = new AbortController()
    const running = sandbox.exec('echo $$ > /tmp/pid; exec sleep 1000', { signal: leaving.signal })
    await shadow.eventually(async () => (await sandbox.exec('test -s /tmp/pid')).exitCode === 0)
    leaving.abort(new Error('enough'))
    await assert.rejects(running, /enough/)
    await shadow.eventually(async () => (await sandbox.exec('kill -0 $(cat /tmp/pid)')).exitCode !== 0)
  })

  test('that cannot be run, and a call that is refused, say why', async () => {
    await assert.rejects(sandbox.exec(['no-such-program']), isFailure('command-not-found'))
    await assert.rejects(sandbox.exec('pwd', { cwd: 'not/absolute' }), isFailure('bad-input', /workdir/))
    const none = new ShadowClient({ url: shadow.up.masterUrl, token: 'x'.repeat(40) })
    await assert.rejects((await none.sandbox(await connected())).exec('pwd'), isFailure('unauthorised'))
    const gone = await client.sandbox({ ...(await connected()), session: 'box--aaaaaaaaaaaaaaaa' })
    await assert.rejects(gone.exec('pwd'), isFailure('app-not-found'))
  })
})

const connected = () => client.connect({ template: 'box', key: { name: 'other' } })

describe('a sandbox', () => {
  test('has files that are written, read, listed and removed', async () => {
    await sandbox.writeFile('/work/a b/-c.txt', 'äé\n')
    await sandbox.writeFile('/work/empty', '')
    const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => at % 256)
    await sandbox.writeFile('/work/bytes', bytes)
    assert.equal(await sandbox.readText('/work/a b/-c.txt'), 'äé\n')
    assert.deepEqual(await sandbox.readFile('/work/bytes'), bytes)
    await sandbox.exec('ln -s bytes /work/link')
    const listed = await sandbox.list('/work')
    assert.deepEqual(
      listed.map(({ name, kind, size }) => [name, kind, kind === 'file' ? size : null]),
      [
        ['a b', 'folder', null],
        ['bytes', 'file', 100_000],
        ['empty', 'file', 0],
        ['link', 'link', null],
      ],
    )
    assert.ok(Date.parse(listed[1]?.modifiedAt ?? '') > 0)
    await sandbox.remove('/work/a b')
    assert.deepEqual(
      (await sandbox.list('/work')).map(({ name }) => name),
      ['bytes', 'empty', 'link'],
    )
    for (const [refused, code] of [
      [() => sandbox.readFile('/work/none'), 'not-found'],
      [() => sandbox.readFile('/work'), 'bad-input'],
      [() => sandbox.list('/work/bytes'), 'bad-input'],
      [() => sandbox.remove('/work/none'), 'not-found'],
      [() => sandbox.writeFile('/etc/mine', 'x', { user: '1000' }), 'forbidden'],
    ] as const)
      await assert.rejects(refused(), isFailure(code))
  })

  test('has a URL for each port, and is paused, resumed and ended', async () => {
    const own = await client.createSandbox({ template: 'box', key: { name: 'paused' } })
    await own.exec('mkdir -p /side && echo side > /side/index.html; httpd -p 3000 -h /side')
    for (const [url, body] of [
      [own.url(), 'main\n'],
      [own.url(3000), 'side\n'],
    ] as const) {
      const { host, pathname } = new URL(url)
      assert.equal((await shadow.ask(host, pathname)).text, body)
    }
    assert.throws(() => own.url(0), isFailure('bad-input'))
    await own.pause()
    await assert.rejects(own.exec('true'), isFailure('app-paused'))
    await own.resume()
    assert.equal((await own.exec('true')).exitCode, 0)
    assert.equal((await own.end('hard')).state, 'ended')
  })

  test('is kept alive until that is given up', async () => {
    const waits = async () => (await sandbox.exec("ps | grep -c '[c]at$'")).stdout
    const before = await waits()
    const alive = await sandbox.keepAlive()
    assert.equal(Number(await waits()), Number(before) + 1)
    alive[Symbol.dispose]()
    await shadow.eventually(async () => (await waits()) === before)
  })
})
