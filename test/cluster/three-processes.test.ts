import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { App } from '../../src/model/app.ts'
import { Cluster, storageSetting } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { minio, type S3Server } from '../tools/s3-servers.ts'
import { register, until } from '../tools/shadow.ts'
import { type Answer, NAVIGATION } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '16MiB' } }
/** An app that opens its port once a file on its volume exists. */
const WAITS = { ...VOLUME, env: { LISTEN_WHEN: '/data/go' } }

let built: Awaited<ReturnType<typeof installed>>
let store: S3Server | undefined
beforeAll(async () => {
  built = await installed()
  store = await minio()
})
afterAll(async () => {
  await store?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})

describe('master on a bucket, two nodes and two fronts, as processes of their own:', () => {
  let cluster: Cluster
  beforeAll(async () => {
    assert.ok(store, 'no minio on the PATH or in the cache folder')
    const storage = storageSetting(store.place('three-processes'))
    cluster = await Cluster.start({ shadow: built.shadow, storage, nodes: ['a', 'b'], fronts: ['x', 'y'] })
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  const ask = (app: string, ...how: [path?: string, sent?: object]): Promise<Answer> => cluster.at('x').ask(app, ...how)

  /** Registers an app whose volume is on the node that the fronts would not choose. */
  async function elsewhere(name: string): Promise<{ app: App; home: string; wrong: string }> {
    const app = await register(cluster.admin, name, VOLUME)
    // The front pins the app to the node that it chooses, and uses that node again.
    const { headers } = await cluster.at('x').ask(name, '/', { headers: { 'x-shadow-wake': 'never' } })
    const [home, wrong] = headers['x-shadow-node'] === cluster.nameOf('a') ? ['b', 'a'] : ['a', 'b']
    const lease = { params: { volume: name }, body: { node: cluster.nameOf(home) } }
    await cluster.admin.call('leaseVolume', lease)
    return { app, home, wrong }
  }

  const letGo = async (app: string): Promise<void> => {
    const { lease } = await cluster.admin.call('getVolume', { params: { volume: app } })
    const letter = lease?.node === cluster.nameOf('a') ? 'a' : 'b'
    await writeFile(`${cluster.data}/${letter}/volumes/${app}/mnt/go`, '')
  }

  test('the first request wakes the app, and is told by stages what it waited for; the second waits for nothing', async () => {
    await register(cluster.admin, 'first', VOLUME)
    const { status, headers, json } = await ask('first')
    assert.equal(status, 200)
    for (const stage of ['lease', 'attach', 'mount', 'image', 'create', 'start', 'ready', 'wake'])
      assert.match(headers['server-timing']?.toString() ?? '', new RegExp(`\\b${stage};dur=[0-9.]+`))
    const again = await ask('first')
    assert.deepEqual([again.json.boot, again.headers['server-timing']], [json.boot, undefined])
    assert.equal(again.headers['x-shadow-node'], headers['x-shadow-node'])
  })

  test('a POST of 5 MB as the very first request arrives whole', async () => {
    await register(cluster.admin, 'upload')
    const body = randomBytes(5_000_000)
    const { status, json } = await ask('upload', '/echo', { method: 'POST', body })
    const sha256 = createHash('sha256').update(body).digest('hex')
    assert.deepEqual([status, json], [200, { method: 'POST', bytes: body.length, sha256 }])
  })

  test('a WebSocket as the very first request is opened and talks, and keeps the app in use until it closes', async () => {
    await register(cluster.admin, 'talk')
    const socket = await cluster.at('x').webSocket('talk', '/room')
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'hello')
    const { holds } = await cluster.admin.call('getInstance', { params: { app: 'talk' } })
    assert.deepEqual(
      holds.map(({ kind, what }) => [kind, what]),
      [['websocket', 'GET /room from 127.0.0.1']],
    )
    socket.close()
    await once(socket, 'close')
    await until(
      async () =>
        (await cluster.admin.call('getInstance', { params: { app: 'talk' } })).holds.length === 0 || undefined,
    )
  })

  test('server-sent events come as they are sent', async () => {
    await register(cluster.admin, 'news')
    const { request, response } = cluster.at('x').begin('news', '/events')
    const events = (await response).setEncoding('utf8').on('error', () => undefined) // the test leaves in the middle of the stream
    let said = ''
    events.on('data', chunk => {
      said += chunk
    })
    for (const word of ['one', 'two']) {
      await ask('news', `/events/send?data=${word}`)
      await until(() => said.endsWith(`data: ${word}\n\n`) || undefined)
    }
    request.destroy()
  })

  test('a browser sees the waiting page, which follows the wake to its end; by then the app answers', async () => {
    await register(cluster.admin, 'page', WAITS)
    const page = await ask('page', '/', { headers: NAVIGATION })
    assert.deepEqual(
      [page.status, page.headers['x-shadow-error'], page.headers['x-shadow-state']],
      [503, 'app-waking', 'waking'],
    )
    assert.deepEqual([page.headers['retry-after'], page.headers['content-type']], ['1', 'text/html; charset=utf-8'])
    assert.match(page.text, /new EventSource\("\/\.shadow\/events"\)/)
    const events = await cluster.at('x').begin('page', '/.shadow/events').response
    const said = text(events)
    await letGo('page')
    const told = [...(await said).matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data))
    assert.deepEqual([...new Set(told.map(({ phase }) => phase))], ['waking', 'awake'])
    assert.equal(told.at(-2).stage, 'answering')
    assert.equal((await ask('page', '/', { headers: NAVIGATION })).status, 200)
  })

  test('unknown, asleep and crashed are told apart by status, code and state', async () => {
    await register(cluster.admin, 'sleeper')
    await register(cluster.admin, 'crasher', { env: { EXIT_AT_BOOT: '7' } })
    const told = async (host: string, headers = {}): Promise<unknown[]> => {
      const { status, headers: said, text } = await ask(host, '/', { headers })
      return [status, JSON.parse(text).code, said['x-shadow-error'], said['x-shadow-state']]
    }
    assert.deepEqual(await told('nobody'), [404, 'host-unknown', 'host-unknown', 'unknown'])
    assert.deepEqual(await told('sleeper', { 'x-shadow-wake': 'never' }), [409, 'app-asleep', 'app-asleep', 'asleep'])
    assert.deepEqual(await told('crasher'), [502, 'app-crashed', 'app-crashed', 'crashed'])
    const { text } = await ask('crasher')
    assert.match(text, /exit code 7/)
    assert.doesNotMatch(text, /cannot go on/) // only the owner sees the app's output, by `shadow status`
  })

  for (const framing of ['content-length', 'transfer-encoding'] as const) {
    test(`a POST that asks the wrong node first reaches the one that has the volume, its body whole (${framing})`, async () => {
      const { home, wrong, app } = await elsewhere(`post-${framing.slice(0, 7)}`)
      const body = randomBytes(1_000_000)
      const headers = framing === 'content-length' ? { [framing]: body.length } : { [framing]: 'chunked' }
      const answer = await ask(app.name, '/echo', { method: 'POST', headers, body })
      assert.equal(answer.headers['x-shadow-node'], cluster.nameOf(home))
      assert.equal(answer.json.sha256, createHash('sha256').update(body).digest('hex'))
      assert.equal((await cluster.containers(home, app.name)).length, 1)
      await until(async () => (await cluster.containers(wrong, app.name)).length === 0 || undefined)
      assert.equal((await ask(app.name)).json.requests, 2, 'the app saw the POST once')
    })
  }

  test('a WebSocket that asks the wrong node first is opened by the one that has the volume', async () => {
    const { app, home } = await elsewhere('moved-talk')
    const socket = await cluster.at('x').webSocket(app.name)
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'hello')
    assert.equal((await cluster.containers(home, app.name)).length, 1)
    socket.close()
  })

  test('a client cannot pass itself off as a front: what it says in our headers is dropped', async () => {
    await register(cluster.admin, 'honest', WAITS)
    await register(cluster.admin, 'other')
    const headers = {
      'x-shadow-app': 'other',
      'X-Shadow-Key': 'guess',
      'x-shadow-patience': '0',
      'x-shadow-expect': 'hop',
      'x-shadow-anything': 'else',
    }
    const asked = ask('honest', '/headers', { headers })
    const view = () => cluster.admin.call('getInstance', { params: { app: 'honest' } })
    await until(async () => (await view()).lastWake?.steps.start !== undefined || undefined)
    await letGo('honest')
    const { status, json } = await asked
    assert.equal(status, 200)
    const names = json.raw.filter((_: string, at: number) => at % 2 === 0).map((name: string) => name.toLowerCase())
    assert.deepEqual(
      names.filter((name: string) => name.startsWith('x-shadow-')),
      [],
    )
    const other = await cluster.admin.call('getInstance', { params: { app: 'other' } })
    assert.equal(other.phase, 'asleep')
  })

  test('the app is told of the client, not of the front, and not what the client claims', async () => {
    await register(cluster.admin, 'origin')
    const asked = request({
      port: cluster.at('x').port,
      host: '127.0.0.1',
      localAddress: '127.0.0.9',
      path: '/headers',
      headers: { host: 'origin.localhost', 'x-forwarded-for': '203.0.113.1', 'x-forwarded-proto': 'https' },
    }).end()
    const [response] = await once(asked, 'response')
    const { raw } = JSON.parse(await text(response)) as { raw: string[] }
    const valuesOf = (wanted: string): string[] =>
      raw.filter((_, at) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === wanted)
    assert.deepEqual(['host', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'].map(valuesOf), [
      ['origin.localhost'],
      ['127.0.0.9'],
      ['http'],
      ['origin.localhost'],
    ])
  })

  test('a node refuses whoever does not show its keys, and serves whoever does', async () => {
    await register(cluster.admin, 'guarded')
    const { headers } = await ask('guarded')
    const node = (await cluster.admin.call('listNodes', {})).items.find(({ name }) => name === headers['x-shadow-node'])
    const status = async (path: string, given: Record<string, string>): Promise<number> =>
      (await fetch(`http://${node?.address}${path}`, { headers: given })).status
    assert.equal(await status('/', { 'x-shadow-app': 'guarded' }), 401)
    assert.equal(await status('/', { 'x-shadow-app': 'guarded', 'x-shadow-key': 'guess' }), 401)
    assert.equal(await status('/', { 'x-shadow-app': 'guarded', authorization: 'Bearer guess' }), 401)
    assert.equal(await status('/v1/instances', {}), 401)
    assert.equal(await status('/server-health-check', {}), 200)
    const letter = node?.name === cluster.nameOf('a') ? 'a' : 'b'
    const keyIn = async (file: string) => (await readFile(`${cluster.data}/${letter}/node/${file}`, 'utf8')).trim()
    const [key, controlKey] = [await keyIn('key'), await keyIn('control-key')]
    assert.equal(await status('/', { 'x-shadow-app': 'guarded', 'x-shadow-key': key }), 200)
    assert.equal(await status('/v1/instances', { authorization: `Bearer ${key}` }), 403)
    assert.equal(await status('/v1/instances', { authorization: `Bearer ${controlKey}` }), 200)
  })
})

test('the same on a directory: what an app wrote before its sleep is there after it', async () => {
  await using cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x'] })
  await register(cluster.admin, 'blog', VOLUME)
  const body = randomBytes(5_000_000)
  assert.equal((await cluster.at('x').ask('blog', '/files/note', { method: 'PUT', body })).status, 200)
  await cluster.admin.call('sleepApp', { params: { app: 'blog' } })
  assert.deepEqual([...(await cluster.containers('a', 'blog')), ...(await cluster.containers('b', 'blog'))], [])
  const { status, bytes } = await cluster.at('x').ask('blog', '/files/note')
  assert.equal(status, 200)
  assert.ok(bytes.equals(body))
})
