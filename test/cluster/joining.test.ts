import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { masterAccess, readMembership } from '../../src/api/membership.ts'
import { endpointOf } from '../../src/api/node-endpoint.ts'
import { type Credential, optionsOf } from '../../src/lib/tls/credentials.ts'
import { memberHost } from '../../src/model/member.ts'
import { anAuthority } from '../../src/testing/mutual-tls.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { isCode, register, until } from '../tools/shadow.ts'

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
  // One machine of each role serves in several threads, each of which has the credential.
  const settings = { b: { SHADOW_WORKERS: '2' }, x: { SHADOW_WORKERS: '2' } }
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x', 'y'], joined: true, settings })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})

const ask = (app: string, path = '/', options = {}) => cluster.at('x').ask(app, path, options)
const ofNode = async (letter: string) => {
  const found = await readMembership(`${cluster.data}/${letter}/node`, 'node')
  assert.ok(found)
  return found
}
const ofFront = async (letter: string) => {
  const found = await readMembership(`${cluster.data}/${letter}/proxy`, 'proxy')
  assert.ok(found)
  return found
}
const listed = async (letter: string) => {
  const { items } = await cluster.admin.call('listNodes', {})
  const found = items.find(({ name }) => name === cluster.nameOf(letter))
  assert.ok(found)
  return found
}

/** What a node answers to a client with this credential that knows the node's key for traffic; undefined: nothing, and it cuts. */
async function answerOf(letter: string, credential: Credential): Promise<string | undefined> {
  const { member } = await ofNode(letter)
  const key = (await readFile(`${cluster.data}/${letter}/node/key`, 'utf8')).trim()
  const [host, port] = (await listed(letter)).address.split(':')
  const socket = connect({ host, port: Number(port), servername: memberHost(member), ...optionsOf(credential) })
  let text = ''
  socket.on('error', () => undefined).on('data', chunk => (text += chunk))
  socket.write(
    `GET / HTTP/1.1\r\nHost: a\r\nX-Shadow-App: guarded\r\nX-Shadow-Key: ${key}\r\nConnection: close\r\n\r\n`,
  )
  await new Promise(resolve => socket.on('close', resolve))
  return text === '' ? undefined : text
}

describe('a cluster of machines that joined by one command each', () => {
  test('serves requests, a WebSocket and uploads over mutual TLS, and the CLI finds it', async () => {
    await register(cluster.admin, 'blog', { volume: { size: '16MiB' } })
    for (const front of ['x', 'y']) assert.equal((await cluster.at(front).ask('blog')).status, 200)
    const body = Buffer.alloc(3_000_000, 'x')
    assert.equal((await ask('blog', '/files/note', { method: 'PUT', body })).status, 200)
    assert.ok((await cluster.at('y').ask('blog', '/files/note')).bytes.equals(body))
    const socket = await cluster.at('x').webSocket('blog')
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'hello')
    socket.close()
    for (const letter of ['a', 'b']) assert.ok((await listed(letter)).member)
    const env = { PATH: process.env['PATH'] ?? '', SHADOW_DATA: `${cluster.data}/master` }
    const { stdout } = await promisify(execFile)(built.shadow, ['cluster', 'members'], { env })
    for (const letter of ['a', 'b']) assert.match(stdout, new RegExp(`node +${cluster.nameOf(letter)} `))
    await cluster.admin.call('sleepApp', { params: { app: 'blog' } })
  })

  test('a machine has its own key alone, for its user alone, and the master has none of them', async () => {
    const files = await readdir(cluster.data, { recursive: true, withFileTypes: true })
    const having: string[] = []
    for (const { parentPath, name } of files.filter(entry => entry.isFile())) {
      const file = join(parentPath, name)
      const text = await readFile(file, 'utf8').catch(() => '')
      if (!text.includes('PRIVATE KEY')) continue
      having.push(file.slice(cluster.data.length))
      assert.equal((await stat(file)).mode & 0o777, 0o600)
    }
    assert.deepEqual(having.sort(), [
      '/a/node/member.json',
      '/b/node/member.json',
      '/x/proxy/member.json',
      '/y/proxy/member.json',
    ])
  })

  test('a node answers fronts and masters of the cluster, and nobody else who knows its key', async () => {
    await register(cluster.admin, 'guarded')
    await ask('guarded')
    const letter = (await ask('guarded')).headers['x-shadow-node'] === cluster.nameOf('a') ? 'a' : 'b'
    const front = await ofFront('x')
    assert.match((await answerOf(letter, front.credentials.current)) ?? '', /^HTTP\/1\.1 200/)
    const { ca } = front.credentials.current
    assert.equal(await answerOf(letter, { ca }), undefined, 'no certificate')
    const foreign = await (await anAuthority()).credential(memberHost(front.member))
    assert.equal(await answerOf(letter, { ...foreign, ca }), undefined, 'a certificate of another CA')
    const other = await ofNode(letter === 'a' ? 'b' : 'a')
    assert.equal(await answerOf(letter, other.credentials.current), undefined, 'a certificate of another role')
  })

  test('a certificate taken from one node does nothing for the other, and does not pass for it', async () => {
    const [mine, theirs] = [await ofNode('a'), await ofNode('b')]
    const thief = masterClient({
      ...masterAccess('node', { master: undefined, token: undefined }, mine),
      withinMs: 10_000,
    })
    const lease = { params: { volume: 'blog' }, body: { node: theirs.member.name } }
    await assert.rejects(thief.call('leaseVolume', lease), isCode('forbidden'))
    await assert.rejects(thief.call('listNodes', {}), isCode('forbidden'))
    // A front that wants node b is not content with the certificate of node a.
    const at = { ...(await listed('a')), name: theirs.member.name, member: theirs.member.id }
    const { nodeClient } = await import('../../src/api/client.ts')
    const front = nodeClient({
      ...endpointOf(at as never, (await ofFront('x')).credentials),
      token: 'x',
      withinMs: 5_000,
    })
    await assert.rejects(front.call('health', {}), isCode('node-unreachable'))
  })

  test('a node of a cluster refuses a token and a URL in clear; shadow up refuses the store', async () => {
    const start = (args: readonly string[], env = {}) =>
      promisify(execFile)(built.shadow, [...args], {
        env: { PATH: process.env['PATH'] ?? '', ...env },
        timeout: 20_000,
      })
    const data = ['--data', `${cluster.data}/a`]
    await assert.rejects(start(['proxy', '--data', `${cluster.data}/nobody`]), /has joined no cluster/)
    await assert.rejects(start(['up', '--data', `${cluster.data}/master`]), /belongs to a cluster/)
    await cluster.node('a').end('SIGTERM')
    await assert.rejects(start(['nodeproxy', ...data], { SHADOW_TOKEN: 'x' }), /SHADOW_TOKEN: is set, but this machine/)
    await assert.rejects(
      start(['nodeproxy', ...data], { SHADOW_MASTER: 'http://127.0.0.1:1' }),
      /SHADOW_MASTER: is http/,
    )
    await cluster.node('a').start()
    await until(async () => (await ask('guarded')).status === 200 || undefined)
  })

  test('a front that was removed is cut within seconds by the nodes, while the other front serves on', async () => {
    const revoked = await ofFront('y')
    await until(async () => (await cluster.at('y').ask('guarded')).status === 200 || undefined)
    await cluster.admin.call('removeMember', { params: { role: 'proxy', name: 'y' } })
    await until(async () => (await cluster.at('y').ask('guarded')).status !== 200 || undefined)
    for (const letter of ['a', 'b'])
      await until(async () => (await answerOf(letter, revoked.credentials.current)) === undefined || undefined)
    const client = masterClient({
      ...masterAccess('proxy', { master: undefined, token: undefined }, revoked),
      withinMs: 5_000,
    })
    await assert.rejects(client.call('listNodes', {}), isCode('unauthorised'))
    assert.equal((await ask('guarded')).status, 200)
  })

  test('a node that was removed gets no request and nothing from the master; it joins again by another token', async () => {
    const removed = await ofNode('b')
    await cluster.admin.call('removeMember', { params: { role: 'node', name: removed.member.name } })
    const client = masterClient({
      ...masterAccess('node', { master: undefined, token: undefined }, removed),
      withinMs: 5_000,
    })
    await assert.rejects(client.call('getApp', { params: { app: 'guarded' } }), isCode('unauthorised'))
    await until(
      async () =>
        (await cluster.admin.call('listNodes', {})).items.every(({ name }) => name !== removed.member.name) ||
        undefined,
    )
    await until(async () => (await ask('guarded')).headers['x-shadow-node'] === cluster.nameOf('a') || undefined)
    await cluster.node('b').end('SIGTERM')
    await promisify(execFile)('rm', [removed.file])
    await cluster.join(built.shadow, 'node', 'b')
    await cluster.node('b').start()
    await until(async () => (await listed('b').catch(() => undefined)) !== undefined || undefined)
    assert.notEqual((await ofNode('b')).member.id, removed.member.id)
  })
})

test('certificates are renewed under load by themselves, and no request, download or WebSocket is cut', async () => {
  await using renewing = await Cluster.start({
    shadow: built.shadow,
    nodes: ['c'],
    fronts: ['z'],
    joined: true,
    settings: { c: { SHADOW_WORKERS: '2' }, z: { SHADOW_WORKERS: '2' } },
    // A slow machine has six seconds between the time to renew one and its end.
    masterSettings: { SHADOW_CERTIFICATE_LASTS: '18s' },
  })
  await register(renewing.admin, 'busy')
  const front = renewing.at('z')
  const certificates = async () =>
    Promise.all(
      (['node', 'proxy'] as const).map(async role => {
        const membership = await readMembership(`${renewing.data}/${role === 'node' ? 'c' : 'z'}/${role}`, role)
        return membership?.credentials.current.certificate
      }),
    )
  assert.equal((await front.ask('busy')).status, 200)
  const socket = await front.webSocket('busy')
  let closed = false
  socket.on('close', () => {
    closed = true
  })
  const seen = new Set<string | undefined>()
  const others = new Set<string>()
  const end = Date.now() + 45_000
  // Longer than two certificates last: connections and members live on by renewals alone.
  while (Date.now() < end) {
    const { status, text } = await front.ask('busy')
    if (status !== 200) others.add(`${status} ${text}`)
    for (const certificate of await certificates()) seen.add(certificate)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  assert.deepEqual([...others], [])
  assert.ok(seen.size >= 6, `${seen.size} certificates`)
  assert.ok(!closed)
  socket.send('still there')
  assert.equal(String((await once(socket, 'message'))[0]), 'still there')
  socket.close()
  assert.equal((await renewing.admin.call('listNodes', {})).items.length, 1)
})
