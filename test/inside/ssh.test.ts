import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { freePort } from '../../src/testing/free-port.ts'
import { builtImage } from '../tools/images.ts'
import { isCode, Shadow, until } from '../tools/shadow.ts'

const execute = promisify(execFile)

let shadow: Shadow
let folder: string
let config: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-ssh-'))
  shadow = await Shadow.start({ env: { SHADOW_SSH: '127.0.0.1:0' } })
  const image = await builtImage(
    'ssh',
    'CMD ["sh", "-c", "mkdir -p /srv; echo here > /srv/x; exec httpd -f -p $PORT -h /srv"]',
  )
  const definition = { image, volume: { size: '64MiB' }, sleep: { idleAfter: '30s' }, env: { SECRET: 'kept' } } as const
  await shadow.register('blog', definition)
  await shadow.register('shop', { image, sleep: { idleAfter: '30s' } })
  for (const name of ['ann', 'bob', 'eve'])
    await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  await add('ann')
  await add('bob', ['shop'])
  const { host } = await shadow.admin.call('listSshKeys', {})
  assert.match(host ?? '', /^SHA256:/)
  // The first connection learns the host key, every other one has to meet the same.
  config = join(folder, 'config')
  await writeFile(
    config,
    `Host *\n  HostName 127.0.0.1\n  Port ${shadow.up.sshPort}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${join(folder, 'known')}\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n  LogLevel ERROR\n`,
  )
})
afterAll(async () => {
  await shadow[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function add(name: string, apps?: string[]): Promise<void> {
  const publicKey = await readFile(join(folder, `${name}.pub`), 'utf8')
  await shadow.admin.call('addSshKey', { body: { name, publicKey, ...(apps && { apps }) } })
}

/** Runs a program of OpenSSH, and answers how it ended. */
async function run(program: string, words: readonly string[], input: string | Buffer = '') {
  const own = words.includes('-i') ? [] : ['-i', join(folder, 'ann')]
  const child = spawn(program, ['-F', config, ...own, ...words])
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', bytes => out.push(bytes))
  child.stderr.on('data', bytes => err.push(bytes))
  child.stdin.on('error', () => undefined).end(input)
  const [code] = await once(child, 'close')
  return { code, out: Buffer.concat(out), err: Buffer.concat(err).toString() }
}
const ssh = (...words: string[]) => run('ssh', words)

test('a command runs in the container of the app that is the user; output, errors and the exit code come apart', async () => {
  const { code, out, err } = await ssh('blog@h', 'echo "$SECRET"; echo oh >&2; exit 7')
  assert.deepEqual([code, out.toString(), err], [7, 'kept\n', 'oh\n'])
  const bytes = randomBytes(2_000_000)
  const piped = await run('ssh', ['blog@h', 'tee /data/piped | sha256sum'], bytes)
  assert.equal(piped.out.toString().split(' ')[0], createHash('sha256').update(bytes).digest('hex'))
})

test('a terminal has a size and a kind, and Ctrl-C reaches its command', async () => {
  const line = `stty rows 33 cols 99; ssh -F ${config} -i ${join(folder, 'ann')} -tt blog@h 'echo $TERM; sleep 0.3; stty size; trap "echo got; exit 5" INT; echo up; sleep 60 & wait'; echo "code $?"`
  const child = spawn('script', ['--quiet', '--command', line, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm-256color' },
  })
  let said = ''
  child.stdout.on('data', bytes => {
    said += bytes
    if (/up\r/.test(said) && !said.includes('^C')) child.stdin.write('\x03')
  })
  await once(child, 'close')
  assert.match(said, /xterm-256color\s+33 99\s+up\s[\s\S]*got\s+code 5/)
})

test('sftp lists, fetches, stores, renames and removes files; scp copies both ways', async () => {
  const bytes = randomBytes(3_000_000)
  await writeFile(join(folder, 'local'), bytes, { mode: 0o640 })
  const batch = [
    `put -p ${join(folder, 'local')} /data/stored`,
    'mkdir /data/sub',
    'rename /data/stored /data/sub/moved',
    'ls -l /data/sub',
    `get /data/sub/moved ${join(folder, 'back')}`,
    'chmod 600 /data/sub/moved',
    'rm /data/sub/moved',
    'rmdir /data/sub',
    '-ls /data/sub',
  ].join('\n')
  const { code, out, err } = await run('sftp', ['-b', '-', 'blog@h'], `${batch}\n`)
  assert.equal(code, 0, `${out}${err}`)
  assert.match(out.toString(), /-rw-r----- .* 3000000 .*moved/)
  assert.match(err, /sub.*not found/i)
  assert.ok((await readFile(join(folder, 'back'))).equals(bytes))

  const up = await run('scp', ['-q', join(folder, 'local'), 'blog@h:/data/copied'])
  assert.deepEqual([up.code, up.err], [0, ''])
  const down = await run('scp', ['-q', 'blog@h:/data/copied', join(folder, 'again')])
  assert.deepEqual([down.code, down.err], [0, ''])
  assert.ok((await readFile(join(folder, 'again'))).equals(bytes))
  const missing = await run('scp', ['-q', 'blog@h:/data/nothing', join(folder, 'nothing')])
  assert.notEqual(missing.code, 0)
  assert.match(missing.err, /nothing.*No such file/)
})

test('a port is forwarded into the container, and no further', async () => {
  const port = await freePort()
  const child = spawn('ssh', [
    '-F',
    config,
    '-i',
    join(folder, 'ann'),
    '-N',
    '-L',
    `${port}:localhost:8000`,
    '-L',
    `${port + 1}:10.0.0.1:80`,
    'blog@h',
  ])
  const get = async (at: number): Promise<string> =>
    (await execute('curl', ['-s', '--max-time', '5', `http://127.0.0.1:${at}/x`]).catch(() => ({ stdout: '' }))).stdout
  await until(async () => ((await get(port)) === 'here\n' ? true : undefined))
  assert.equal(await get(port + 1), '')
  child.kill()
  await once(child, 'close')
  const remote = await ssh('-o', 'ExitOnForwardFailure=yes', '-N', '-R', '0:localhost:22', 'blog@h')
  assert.match(remote.err, /remote port forwarding failed/)
})

test('an open connection keeps its app awake and is named; a client that vanishes ends its command', async () => {
  const child = spawn('ssh', ['-F', config, '-i', join(folder, 'ann'), 'blog@h', 'echo up; sleep 7777'])
  await once(child.stdout, 'data')
  await shadow.pass(31_000)
  const { phase, holds } = await shadow.instance('blog')
  assert.deepEqual(
    [phase, holds.map(({ what }) => what)],
    ['awake', ['exec `sh -c echo up; sleep 7777` by ssh key ann']],
  )
  child.kill('SIGKILL')
  await shadow.until('blog', ({ holds }) => holds.length === 0)
  const { out } = await ssh('blog@h', 'ps | grep -c "[s]leep 7777"')
  assert.equal(out.toString(), '0\n')
})

test('a key opens its apps alone, an unknown key nothing, and no password is asked for', async () => {
  const bob = ['-i', join(folder, 'bob')]
  assert.equal((await ssh(...bob, 'shop@h', 'echo in')).out.toString(), 'in\n')
  for (const words of [
    [...bob, 'blog@h'],
    ['-i', join(folder, 'eve'), 'blog@h'],
  ]) {
    const { code, err } = await ssh(...words, 'true')
    assert.equal(code, 255)
    assert.match(err, /Permission denied \(publickey\)/)
  }
  const unknown = await ssh('nobody@h', 'true')
  assert.deepEqual([unknown.code, /no app is called nobody/.test(unknown.err)], [255, true])
})

test('a removed key ends its open connections, and opens nothing any more', async () => {
  const child = spawn('ssh', [
    '-F',
    config,
    '-o',
    'IdentityFile=none',
    '-i',
    join(folder, 'bob'),
    'shop@h',
    'echo up; sleep 8888',
  ])
  await once(child.stdout, 'data')
  await shadow.admin.call('removeSshKey', { params: { key: 'bob' } })
  const over = once(child, 'close')
  await shadow.pass(35_000)
  assert.equal((await over)[0], 255)
  assert.equal((await ssh('-i', join(folder, 'bob'), 'shop@h', 'true')).code, 255)
})

test('SHA-1 and old ciphers are refused', async () => {
  for (const old of ['KexAlgorithms=diffie-hellman-group14-sha1', 'Ciphers=aes128-cbc', 'MACs=hmac-sha1']) {
    const extra = old.startsWith('MACs') ? ['-o', 'Ciphers=aes128-ctr'] : []
    const { code, err } = await ssh('-o', 'LogLevel=INFO', '-o', old, ...extra, 'blog@h', 'true')
    assert.equal(code, 255)
    assert.match(err, /no matching/i)
  }
})

test('what is no public key, a name and a key that are taken are refused by name', async () => {
  const key = await readFile(join(folder, 'eve.pub'), 'utf8')
  const adding = (name: string, publicKey: string) => shadow.admin.call('addSshKey', { body: { name, publicKey } })
  await assert.rejects(adding('eve', await readFile(join(folder, 'eve'), 'utf8')), isCode('bad-input', /private key/))
  await assert.rejects(adding('eve', 'ssh-dss AAAA'), isCode('bad-input', /ssh-dss/))
  await assert.rejects(adding('eve', 'ssh-ed25519 AAAA'), isCode('bad-input', /not a key/))
  await assert.rejects(adding('ann', key), isCode('already-exists', /ann/))
  await assert.rejects(
    adding('twin', await readFile(join(folder, 'ann.pub'), 'utf8')),
    isCode('already-exists', /registered as ann/),
  )
})

/** Runs the CLI as its own process, since the OpenSSH client takes over its input and output. */
async function cli(words: readonly string[], more: Record<string, string> = {}) {
  const env = { ...process.env, SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken, ...more }
  const child = spawn(process.execPath, ['src/cli/main.ts', ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', bytes => out.push(bytes))
  child.stderr.on('data', bytes => err.push(bytes))
  const [code] = await once(child, 'close')
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
}
const batch = ['-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR']

test('shadow ssh runs OpenSSH with the host, port and user, and knows the key of the host from the master', async () => {
  const identity = ['-i', join(folder, 'ann'), ...batch]
  const ran = await cli(['ssh', ...identity, 'blog', '--', 'echo "$SECRET"; exit 7'])
  assert.deepEqual([ran.code, ran.out, ran.err], [7, 'kept\n', ''])
  const refused = await cli(['ssh', '-i', join(folder, 'eve'), ...batch, 'blog', 'true'])
  assert.equal(refused.code, 255)
  assert.match(refused.err, /Permission denied[\s\S]*hint: if the key was refused, register yours: shadow keys add/)
})

test('shadow ssh refuses a server that has not the key of the masters', async () => {
  await using other = await Shadow.start({ env: { SHADOW_SSH: '127.0.0.1:0' } })
  const port = String(other.up.sshPort)
  const ran = await cli(['ssh', '-i', join(folder, 'ann'), '-o', 'BatchMode=yes', '--port', port, 'blog', 'true'])
  assert.equal(ran.code, 255)
  assert.match(ran.err, /Host key verification failed/)
})

test('shadow ssh says what is missing: the server, a key, the client', async () => {
  await using bare = await Shadow.start({ env: {} })
  await bare.register('solo')
  const at = { SHADOW_URL: bare.up.masterUrl, SHADOW_TOKEN: bare.up.adminToken }
  const off = await cli(['ssh', 'solo'], at)
  assert.equal(off.code, 3)
  assert.match(off.err, /serves no SSH\nhint: set SHADOW_SSH=/)
  const typo = await cli(['ssh', 'bolg'])
  assert.match(typo.err, /did you mean blog/)
  await shadow.admin.call('removeSshKey', { params: { key: 'ann' } })
  const none = await cli(['ssh', 'blog', 'true'])
  assert.match(none.err, /no registered key opens blog by SSH\nhint: register yours: shadow keys add/)
  await add('ann')
  const noClient = await cli(['ssh', 'blog', 'true'], { PATH: '/nonexistent' })
  assert.equal(noClient.code, 3)
  assert.match(noClient.err, /no OpenSSH client[\s\S]*openssh-client/)
})
