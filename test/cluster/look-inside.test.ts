import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { register, until } from '../tools/shadow.ts'

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
  cluster = await Cluster.start({
    shadow: built.shadow,
    nodes: ['a', 'b'],
    fronts: ['x'],
    joined: true,
    masterSettings: { SHADOW_SSH: '127.0.0.1:0' },
  })
  // The app is on the second node, with its volume.
  const first = { params: { node: cluster.nameOf('a') } }
  await cluster.admin.call('cordonNode', first)
  await register(cluster.admin, 'blog', { volume: { size: '16MiB' }, sleep: { idleAfter: '10m' } })
  assert.equal((await cluster.admin.call('wakeApp', { params: { app: 'blog' } })).node, cluster.nameOf('b'))
  await cluster.admin.call('uncordonNode', first)
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})

const start = (...words: string[]) => {
  const env = { PATH: process.env['PATH'] ?? '', HOME: cluster.data, SHADOW_DATA: `${cluster.data}/master` }
  const child = spawn(built.shadow, words, { env })
  const said = { out: '', err: '' }
  child.stdout.on('data', bytes => (said.out += bytes))
  child.stderr.on('data', bytes => (said.err += bytes))
  return { child, said, ended: once(child, 'close') as Promise<[number]> }
}

/** Runs a command of the CLI on the machine of the master. */
async function cli(...words: string[]) {
  const { child, said, ended } = start(...words)
  child.stdin.end('typed\n')
  const [code] = await ended
  return { code, ...said }
}

const ECHO = 'process.stdin.on("data", bytes => { process.stdout.write(bytes); process.exitCode = 7 })'
const STAYS = 'console.log("up"); setInterval(() => {}, 1e6)'

test('a command on another node runs over mutual TLS, with its input, its output and its exit code', async () => {
  assert.deepEqual(await cli('exec', 'blog', '--', 'node', '-e', ECHO), { code: 7, out: 'typed\n', err: '' })
})

test('a port of a container on another node is reached', async () => {
  const { child, said, ended } = start('port-forward', 'blog', '0:8000')
  const port = await until(() => /127\.0\.0\.1:(\d+)/.exec(said.out + said.err)?.[1])
  assert.equal((await fetch(`http://127.0.0.1:${port}/env`)).status, 200)
  child.kill('SIGINT')
  await ended
})

test('shadow ssh reaches a container on another node, with the key of the server by the API', async () => {
  const identity = join(temporaryFolder('shadow-ssh-'), 'key')
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', identity])
  const publicKey = await readFile(`${identity}.pub`, 'utf8')
  await cluster.admin.call('addSshKey', { body: { name: 'ann', publicKey } })
  // The image has no shell: that the container says so is an answer from the other node, through SSH.
  const ran = await cli('ssh', '-i', identity, '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', 'blog', '--', 'true')
  assert.notEqual(ran.code, 255, ran.err)
  assert.doesNotMatch(ran.err, /Permission denied|Host key/)
})

test('the log of an app with several instances is that of all of them, over both nodes', async () => {
  await register(cluster.admin, 'web', { scale: { min: 2, max: 2, concurrency: { soft: 1, hard: 2 } } })
  await cluster.at('x').ask('web')
  await until(async () => {
    const { items } = await cluster.admin.call('listInstances', {})
    const awake = items.filter(({ app, phase }) => app === 'web' && phase === 'awake')
    return awake.length === 2 || undefined
  })
  const lines = (await cli('logs', 'web', '--json')).out
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  const instances = [...new Set(lines.map(({ instance }) => instance))].toSorted()
  assert.deepEqual(instances, ['web', 'web.2'])
  const { out } = await cli('logs', 'web', '--instance', 'web.2')
  assert.match(out, /web\.2 \| /)
  assert.doesNotMatch(out, / web \| /)
})

test('when the master goes, its sessions end with an error, their commands end, and the app serves on; then all is as before', async () => {
  assert.equal((await cluster.at('x').ask('blog')).status, 200) // the front knows its route from now on
  const session = start('exec', 'blog', '--', 'node', '-e', STAYS)
  await until(() => session.said.out.includes('up') || undefined)
  const [container = ''] = await cluster.containers('b', 'blog')
  const processes = async (): Promise<string> =>
    (await promisify(execFile)('docker', ['top', container, '-o', 'pid,args'])).stdout
  assert.match(await processes(), /console\.log/)
  await cluster.master.end('SIGKILL')
  const [code] = await session.ended
  assert.equal(code, 7)
  assert.match(session.said.err, /the session was cut off/)
  await until(async () => !(await processes()).includes('console.log') || undefined)
  const refused = await cli('exec', 'blog', '--', 'node', '--version')
  assert.equal(refused.code, 7)
  assert.match(refused.err, /does not answer/)
  assert.equal((await cluster.at('x').ask('blog')).status, 200)
  await cluster.master.start()
  const again = await until(async () => {
    const ran = await cli('exec', 'blog', '--', 'node', '-e', ECHO)
    return ran.code === 7 && ran.out === 'typed\n' ? ran : undefined
  })
  assert.equal(again.err, '')
})
