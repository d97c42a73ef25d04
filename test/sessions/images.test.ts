import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type ConnectRequest, ShadowClient, ShadowFailure } from '../../src/sdk/main.ts'
import { busyboxImage, nodeImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
let client: ShadowClient
let image: string
beforeAll(async () => {
  shadow = await Shadow.start()
  client = new ShadowClient({ url: shadow.up.masterUrl, token: shadow.up.adminToken })
  image = await nodeImage()
})
afterAll(() => shadow[Symbol.asyncDispose]())

/** Connects to the session of the image with the key. `host` and `path` are those of its link. */
async function connect(name: string, spawn: NonNullable<ConnectRequest['spawn']>) {
  const got = await client.connect({ key: { name }, spawn: { idle: '1h', ...spawn } })
  const { host, pathname: path } = new URL(got.url)
  return { ...got, host, path }
}
const visit = async ({ host, path }: { host: string; path: string }, file = '') => shadow.ask(host, `${path}${file}`)

describe('a session of an image', () => {
  test('is visited by its link, has one container however many connect, and is no app and no template', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => connect('doc', { image, env: { NAME: 'ann' } })))
    const [first] = all
    assert.ok(first !== undefined && all.every(({ session }) => session === first.session))
    assert.equal(all.filter(({ spawned }) => spawned).length, 1)
    assert.equal((await visit(first)).status, 200)
    assert.equal((await shadow.ask(first.host, '/')).status, 401)
    assert.equal((await shadow.containers(first.session)).length, 1)
    const { items } = await shadow.admin.call('listApps', { query: { sessions: 'without' } })
    assert.deepEqual(items, [])
    await client.end(first.session)
    await shadow.eventually(async () => (await visit(first)).status === 404)
  })

  test('with another image or command is another one, and the end of one leaves the other alone', async () => {
    const busybox = await busyboxImage()
    const script = 'mkdir -p /www && echo from busybox > /www/index.html && exec httpd -f -p 3000 -h /www'
    const [node, httpd] = await Promise.all([
      connect('doc', { image }),
      connect('doc', { image: busybox, command: ['sh', '-c', script], port: 3_000 }),
    ])
    assert.notEqual(node.session, httpd.session)
    assert.equal((await visit(httpd)).text, 'from busybox\n')
    assert.equal((await visit(node)).status, 200)
    await client.end(node.session, 'hard')
    assert.equal((await visit(httpd)).text, 'from busybox\n')
    await client.end(httpd.session, 'hard')
  })

  test('has a volume that belongs to its key', async () => {
    const spawn = { image, volume: { size: '16MiB' } }
    const first = await connect('mine', spawn)
    await shadow.ask(first.host, `${first.path}files/kept`, { method: 'PUT', body: 'as it was' })
    await client.end(first.session)
    const again = await connect('mine', spawn)
    assert.deepEqual([again.session, again.spawned], [first.session, true])
    assert.equal((await visit(again, 'files/kept')).text, 'as it was')
    await client.end(again.session)
  })

  test('that is not there, or ends at once, says so, and leaves nothing behind', async () => {
    const isCode = (code: string) => (error: unknown) => error instanceof ShadowFailure && error.code === code
    await assert.rejects(connect('none', { image: 'localhost:1/nowhere:1' }), isCode('image-not-found'))
    await assert.rejects(connect('none', { image, command: ['/srv/none'] }), isCode('command-not-found'))
    assert.deepEqual((await shadow.admin.call('listSessions', { query: {} })).items, [])
  })

  test('is a sandbox with commands and ports', async () => {
    const sandbox = await client.createSandbox({
      spawn: { image: await busyboxImage(), command: ['sleep', '1000000'], ready: { kind: 'started' }, ports: 'all' },
    })
    assert.equal((await sandbox.exec('echo $((6 * 7))')).stdout, '42\n')
    await sandbox.exec('mkdir /tmp/w && echo hi > /tmp/w/index.html && httpd -p 4000 -h /tmp/w')
    const { host, pathname } = new URL(sandbox.url(4_000))
    assert.equal((await shadow.ask(host, pathname)).text, 'hi\n')
    await sandbox.end('hard')
  })
})
