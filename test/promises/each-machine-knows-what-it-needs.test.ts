import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { Cluster, storageSetting } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { type Recorder, recorder } from '../tools/recorder.ts'
import { minio, type S3Server } from '../tools/s3-servers.ts'
import { isCode, register, until } from '../tools/shadow.ts'

const PLANTED = `planted-${randomBytes(12).toString('hex')}`

let built: Awaited<ReturnType<typeof installed>>
let store: S3Server
let cluster: Cluster
let toMaster: Recorder
beforeAll(async () => {
  built = await installed()
  const found = await minio()
  assert.ok(found, 'no minio on the PATH or in the cache folder')
  store = found
  cluster = await Cluster.start({
    shadow: built.shadow,
    storage: storageSetting(store.place('what-it-needs')),
    nodes: ['a', 'b'],
    fronts: ['x'],
    frontsReachMaster: async port => {
      toMaster = await recorder(port)
      return toMaster.port
    },
  })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await toMaster?.[Symbol.asyncDispose]()
  await store?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})

/** Files below the folder that contain the text, in clear or in base64. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const needles = [text, Buffer.from(text).toString('base64').slice(2, -4)]
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  const having: string[] = []
  for (const file of files) {
    const content = await readFile(file).catch(() => Buffer.alloc(0)) // a file that is replaced meanwhile has a complete successor
    if (needles.some(needle => content.includes(needle))) having.push(file)
  }
  return having
}

const asNode = async (letter: string) => {
  const body = { name: cluster.nameOf(letter), role: 'node' } as const
  const { token } = await cluster.admin.call('createToken', { body })
  return masterClient({ url: `http://127.0.0.1:${cluster.master.port}`, token, withinMs: 10_000 })
}

describe('promise 8, each machine knows only what it needs:', () => {
  test('a secret of an app is in clear in no data folder, not in the bucket, and not on the way to a front', async () => {
    const env = { SECRET: PLANTED }
    const marked = `${PLANTED}-marked`
    await register(cluster.admin, 'stateful', { env, volume: { size: '16MiB' } })
    await register(cluster.admin, 'stateless', { env })
    for (const app of ['stateful', 'stateless']) {
      assert.equal((await cluster.at('x').ask(app, '/env')).json.SECRET, PLANTED)
      // Makes another revision, so that there is an old one.
      await cluster.admin.call('updateApp', { params: { app }, body: { env: { SECRET: marked } } })
      await cluster.admin.call('setAccess', { params: { app }, body: { deny: ['192.0.2.1'] } })
      await until(async () => (await cluster.at('x').ask(app, '/env')).json.SECRET === marked || undefined)
    }
    assert.deepEqual(await filesWith(cluster.data, PLANTED), [])
    assert.deepEqual(await filesWith(store.folder, PLANTED), [])
    const bytes = toMaster.bytes()
    assert.ok(bytes.includes('stateless.localhost'), 'the recorder has heard the front')
    assert.ok(!bytes.includes(PLANTED))
    assert.ok((await filesWith(store.folder, 'stateless.localhost')).length > 0, 'the bucket has been looked into')
  })

  test('a token taken from one node reads no app of the other, and a token of a front reads none', async () => {
    const app = await register(cluster.admin, 'wanted', { env: { SECRET: PLANTED }, volume: { size: '16MiB' } })
    const { headers } = await cluster.at('x').ask('wanted')
    const other = headers['x-shadow-node'] === cluster.nameOf('a') ? 'b' : 'a'
    const thief = await asNode(other)
    const params = { app: app.name }
    await assert.rejects(thief.call('getApp', { params }), isCode('forbidden'))
    const lease = { params: { volume: app.name }, body: { node: cluster.nameOf(other) } }
    await assert.rejects(thief.call('leaseVolume', lease), isCode('forbidden'))
    await assert.rejects(thief.call('listNodes', {}), isCode('forbidden'))
    const { token } = await cluster.admin.call('createToken', { body: { name: 'front', role: 'proxy' } })
    const front = masterClient({ url: `http://127.0.0.1:${cluster.master.port}`, token, withinMs: 10_000 })
    await assert.rejects(front.call('getApp', { params }), isCode('forbidden'))
  })
})
