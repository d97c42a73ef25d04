import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'
import { UPLOAD_LAPSES_MS } from './uploads.ts'

const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const path = await mkdtemp(join(tmpdir(), 'shadow-test-images-'))
const clock = new HandClock()
let one: TestMaster
let other: TestMaster
let token: string
beforeAll(async () => {
  const settings = {
    SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
    SHADOW_BLOB_LIMIT: '1MiB',
    SHADOW_STORAGE: `directory:${path}`,
  }
  one = await testMaster(await directory({ path }), clock, settings)
  other = await testMaster(await directory({ path }), clock, settings)
  token = await one.master.token('admin')
})
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const digestOf = (content: Buffer | string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`
const basic = (password: string): string => `Basic ${Buffer.from(`anna:${password}`).toString('base64')}`

type Sent = { body?: string | Buffer; headers?: Record<string, string>; on?: TestMaster }
const call = (method: string, at: string, { body, headers, on = one }: Sent = {}): Promise<Response> =>
  fetch(`${on.master.url}${at}`, {
    method,
    headers: { authorization: basic(token), ...headers },
    ...(body !== undefined && { body }),
  })
const fault = async (response: Response): Promise<[number, string]> => {
  const { errors } = (await response.json()) as { errors: { code: string; message: string }[] }
  return [response.status, errors[0]?.code ?? '']
}
const locationOf = (response: Response): string => response.headers.get('location') ?? ''

async function pushBlob(repository: string, content: Buffer | string): Promise<string> {
  const digest = digestOf(content)
  const pushed = await call('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: Buffer.from(content) })
  assert.equal(pushed.status, 201)
  return digest
}

async function pushImage(repository: string, tag: string, layers: readonly Buffer[]) {
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: await pushBlob(repository, '{}'),
      size: 2,
    },
    layers: await Promise.all(
      layers.map(async layer => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: await pushBlob(repository, layer),
        size: layer.length,
      })),
    ),
  })
  const put = () =>
    call('PUT', `/v2/${repository}/manifests/${tag}`, { body: text, headers: { 'content-type': OCI_IMAGE } })
  return { text, digest: digestOf(text), put }
}

test('a caller without a token is asked for one in the way that docker login answers', async () => {
  const asked = await fetch(`${one.master.url}/v2/`)
  assert.equal(asked.headers.get('www-authenticate'), 'Basic realm="Shadow"')
  assert.deepEqual(await fault(asked), [401, 'UNAUTHORIZED'])
  for (const authorization of [basic(token), `Bearer ${token}`])
    assert.equal((await fetch(`${one.master.url}/v2/`, { headers: { authorization } })).status, 200)
  for (const authorization of [basic('wrong'), 'Basic !', 'Basic', basic('')])
    assert.equal((await fetch(`${one.master.url}/v2/`, { headers: { authorization } })).status, 401)
  const api = await fetch(`${one.master.url}/v1/apps`, { headers: { authorization: basic(token) } })
  assert.equal(api.status, 401) // only image clients speak Basic
})

test('a token of another role logs in, and everything else is denied in words that docker shows', async () => {
  const headers = { authorization: basic(await one.master.token('proxy')) }
  assert.equal((await fetch(`${one.master.url}/v2/`, { headers })).status, 200)
  const denied = await fetch(`${one.master.url}/v2/blog/tags/list`, { headers })
  const { errors } = (await denied.json()) as { errors: { code: string; message: string }[] }
  assert.deepEqual([denied.status, errors[0]?.code], [403, 'DENIED'])
  assert.match(errors[0]?.message ?? '', /a token of the role proxy may not push or pull images \(it takes a token/)
})

test('an upload goes on at another master, chunk by chunk, and a third request ends it', async () => {
  const content = randomBytes(300_000)
  const start = await call('POST', '/v2/blog/blobs/uploads/')
  const at = locationOf(start)
  assert.deepEqual([start.status, start.headers.get('range')], [202, '0-0'])
  const first = await call('PATCH', at, { body: content.subarray(0, 100_000), on: other })
  assert.deepEqual([first.status, first.headers.get('range'), locationOf(first)], [202, '0-99999', at])
  const range = { 'content-range': '100000-199999' }
  assert.equal((await call('PATCH', at, { body: content.subarray(100_000, 200_000), headers: range })).status, 202)
  assert.equal((await call('GET', at, { on: other })).headers.get('range'), '0-199999')
  const digest = digestOf(content)
  const done = await call('PUT', `${at}?digest=${digest}`, { body: content.subarray(200_000), on: other })
  assert.deepEqual([done.status, locationOf(done)], [201, `/v2/blog/blobs/${digest}`])
  const read = await call('GET', locationOf(done))
  assert.ok(Buffer.from(await read.arrayBuffer()).equals(content))
  assert.deepEqual(await fault(await call('GET', at)), [404, 'BLOB_UPLOAD_UNKNOWN'])
})

test('a chunk out of order is refused with the way on, and one that comes twice counts once', async () => {
  const at = locationOf(await call('POST', '/v2/blog/blobs/uploads/'))
  const chunk = (from: number, on: TestMaster) =>
    call('PATCH', at, { body: randomBytes(10), headers: { 'content-range': `${from}-${from + 9}` }, on })
  const early = await chunk(10, one)
  assert.equal(locationOf(early), at)
  assert.deepEqual(await fault(early), [416, 'RANGE_INVALID'])
  const twice = await Promise.all([chunk(0, one), chunk(0, other)])
  assert.deepEqual(twice.map(({ status }) => status).sort(), [202, 416])
  assert.equal((await call('GET', at)).headers.get('range'), '0-9')
})

test('a chunk that is cut short leaves the upload as it was', async () => {
  const at = locationOf(await call('POST', '/v2/blog/blobs/uploads/'))
  const headers = { authorization: basic(token), 'content-length': 1000 }
  const cut = request(`${one.master.url}${at}`, { method: 'PATCH', headers })
  const closed = new Promise(resolve => cut.on('close', resolve))
  cut.on('error', () => undefined)
  cut.write(randomBytes(500), () => cut.destroy())
  await closed
  const content = randomBytes(1000)
  assert.equal((await call('PATCH', at, { body: content })).status, 202)
  assert.equal((await call('PUT', `${at}?digest=${digestOf(content)}`)).status, 201)
})

test('content of another digest is refused, whatever the form of the upload', async () => {
  const wrong = digestOf('other')
  const body = Buffer.from('content')
  assert.deepEqual(await fault(await call('POST', `/v2/blog/blobs/uploads/?digest=${wrong}`, { body })), [
    400,
    'DIGEST_INVALID',
  ])
  for (const patched of [0, 1, 2]) {
    const at = locationOf(await call('POST', '/v2/blog/blobs/uploads/'))
    for (let n = 0; n < patched; n++) await call('PATCH', at, { body })
    const put = await call('PUT', `${at}?digest=${wrong}`, patched === 0 ? { body } : {})
    assert.deepEqual(await fault(put), [400, 'DIGEST_INVALID'])
  }
  assert.equal((await call('HEAD', `/v2/blog/blobs/${wrong}`)).status, 404)
})

test('more than SHADOW_BLOB_LIMIT is refused, in one request and over several', async () => {
  const half = randomBytes(2 ** 19 + 1)
  const at = locationOf(await call('POST', '/v2/blog/blobs/uploads/'))
  assert.equal((await call('PATCH', at, { body: half })).status, 202)
  assert.deepEqual(await fault(await call('PATCH', at, { body: half })), [413, 'SIZE_INVALID'])
  const whole = Buffer.concat([half, half])
  const refused = await call('POST', `/v2/blog/blobs/uploads/?digest=${digestOf(whole)}`, { body: whole })
  assert.deepEqual(await fault(refused), [413, 'SIZE_INVALID'])
})

test('an upload lapses a day after its last chunk', async () => {
  const at = locationOf(await call('POST', '/v2/blog/blobs/uploads/'))
  await clock.advance(UPLOAD_LAPSES_MS - 1000)
  assert.equal((await call('PATCH', at, { body: 'x' })).status, 202)
  await clock.advance(UPLOAD_LAPSES_MS)
  assert.equal((await call('GET', at)).status, 204)
  await clock.advance(1)
  assert.deepEqual(await fault(await call('PATCH', at, { body: 'x' })), [404, 'BLOB_UPLOAD_UNKNOWN'])
})

test('a repository has only what was pushed or mounted into it', async () => {
  const content = randomBytes(100)
  const digest = await pushBlob('owner', content)
  assert.deepEqual(await fault(await call('GET', `/v2/stranger/blobs/${digest}`)), [404, 'BLOB_UNKNOWN'])
  const none = await call('POST', `/v2/stranger/blobs/uploads/?mount=${digest}&from=nobody`)
  assert.equal(none.status, 202) // to be uploaded then
  assert.equal((await call('POST', `/v2/stranger/blobs/uploads/?mount=${digest}&from=owner`)).status, 201)
  assert.equal((await call('DELETE', `/v2/owner/blobs/${digest}`)).status, 202)
  assert.equal((await call('GET', `/v2/owner/blobs/${digest}`)).status, 404)
  assert.equal((await call('GET', `/v2/stranger/blobs/${digest}`)).status, 200)
})

test('an image is stored once all that it names is there, byte for byte', async () => {
  const image = await pushImage('app/worker', 'v1', [randomBytes(50)])
  assert.equal((await image.put()).status, 201)
  const read = await call('GET', '/v2/app/worker/manifests/v1', { on: other })
  assert.equal(read.headers.get('docker-content-digest'), image.digest)
  assert.equal(await read.text(), image.text)
  const config = await call('DELETE', `/v2/app/worker/blobs/${digestOf('{}')}`)
  assert.deepEqual(await fault(config), [403, 'DENIED']) // an image keeps what it names
  const without = image.text.replace(/"digest":"[^"]*"/, `"digest":"${digestOf('never pushed')}"`)
  const refused = await call('PUT', '/v2/app/worker/manifests/v2', {
    body: without,
    headers: { 'content-type': OCI_IMAGE },
  })
  assert.deepEqual(await fault(refused), [404, 'MANIFEST_BLOB_UNKNOWN'])
})

for (const [what, body, type] of [
  ['no JSON', '{', OCI_IMAGE],
  ['another type than it says', JSON.stringify({ schemaVersion: 2, mediaType: 'x/y' }), OCI_IMAGE],
  ['a type that is no image', '{}', 'application/json'],
  ['no layers', JSON.stringify({ schemaVersion: 2, config: {} }), OCI_IMAGE],
  ['bytes that are no text', Buffer.from([0xff, 0xfe]), OCI_IMAGE],
] as const)
  test(`a manifest with ${what} is refused`, async () => {
    const put = await call('PUT', '/v2/blog/manifests/bad', {
      body,
      headers: { 'content-type': type },
    })
    assert.deepEqual(await fault(put), [400, 'MANIFEST_INVALID'])
  })

test('tags are listed in order and by page; each page names the next', async () => {
  const image = await pushImage('paged', 'b', [])
  for (const tag of ['b', 'a', 'B', 'a1', '_x']) {
    const put = await call('PUT', `/v2/paged/manifests/${tag}`, {
      body: image.text,
      headers: { 'content-type': OCI_IMAGE },
    })
    assert.equal(put.status, 201)
  }
  const seen: string[] = []
  let at: string | undefined = '/v2/paged/tags/list?n=2'
  while (at !== undefined) {
    const page: Response = await call('GET', at)
    seen.push(...((await page.json()) as { tags: string[] }).tags)
    at = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1]
  }
  assert.deepEqual(seen, ['B', '_x', 'a', 'a1', 'b'])
  assert.deepEqual(await fault(await call('GET', '/v2/nobody/tags/list')), [404, 'NAME_UNKNOWN'])
})

test('a manifest that is deleted takes its tags along, and a tag that is deleted leaves its manifest', async () => {
  const image = await pushImage('gone', 'one', [randomBytes(9)])
  await image.put()
  await call('PUT', '/v2/gone/manifests/two', { body: image.text, headers: { 'content-type': OCI_IMAGE } })
  assert.equal((await call('DELETE', '/v2/gone/manifests/one')).status, 202)
  assert.equal((await call('HEAD', `/v2/gone/manifests/${image.digest}`)).status, 200)
  assert.equal((await call('DELETE', `/v2/gone/manifests/${image.digest}`, { on: other })).status, 202)
  for (const reference of ['one', 'two', image.digest])
    assert.equal((await call('HEAD', `/v2/gone/manifests/${reference}`)).status, 404)
  assert.equal((await image.put()).status, 201) // it can be pushed again at once
})

test('an app is pinned to the digest that the tag has now, and its image stays as long as it can go back to it', async () => {
  const layer = randomBytes(70)
  const first = await pushImage('kept', '1', [layer])
  await first.put()
  const registered = await one.admin.call('registerApp', { body: { name: 'kept', image: 'master.shadow/kept:1' } })
  assert.deepEqual(registered.task.pinned, { id: digestOf('{}'), digest: first.digest })
  await clock.advance(1000)
  const second = await pushImage('kept', '1', [randomBytes(70)])
  await second.put()
  const { host } = new URL(other.master.url)
  const updated = await other.admin.call('updateApp', {
    params: { app: 'kept' },
    body: { image: `${host}/kept:1`, port: 80 },
  })
  assert.deepEqual([updated.task.image, updated.task.pinned?.digest], ['master.shadow/kept:1', second.digest])
  const { items } = await one.admin.call('listImages', { query: { repository: 'kept' } })
  assert.deepEqual(
    items.map(({ digest, tags, apps, bytes }) => [digest, tags, apps, bytes]),
    [
      [first.digest, [], ['kept'], 72],
      [second.digest, ['1'], ['kept'], 72],
    ],
  )
  await assert.rejects(
    one.admin.call('removeImage', { query: { image: `kept@${first.digest}` } }),
    /the app kept needs the image/,
  )

  await clock.advance(10 * UPLOAD_LAPSES_MS)
  const prune = async () => (await other.admin.call('pruneImages', { body: {} })).images.map(({ digest }) => digest)
  assert.ok(!(await prune()).includes(first.digest))
  await one.admin.call('removeApp', { params: { app: 'kept' } })
  assert.ok((await prune()).includes(first.digest))
  await one.admin.call('removeImage', { query: { image: 'kept:1' } })
  assert.deepEqual(await prune(), [second.digest])
  assert.deepEqual((await one.admin.call('listImages', { query: { repository: 'kept' } })).items, [])
})

test('an image that is not there is refused at registration, and so is a younger age of a collection than an hour', async () => {
  const register = one.admin.call('registerApp', { body: { name: 'none', image: 'master.shadow/none:1' } })
  await assert.rejects(register, /the image none:1 is not in the image store/)
  await assert.rejects(one.admin.call('pruneImages', { body: { olderThan: '59m' } }), /at least 1h/)
})

test('the list of images goes on from page to page', async () => {
  for (const n of [1, 2, 3]) await (await pushImage('many', String(n), [randomBytes(n)])).put()
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await one.admin.call('listImages', { query: { repository: 'many', limit: 2, after } })
    seen.push(...page.items.flatMap(({ tags }) => tags))
    after = page.next ?? undefined
  } while (after !== undefined)
  assert.deepEqual(seen.sort(), ['1', '2', '3'])
})

test('a part of an image is read by a node that shows the permit for that image', async () => {
  const image = await pushImage('read', '1', [Buffer.from('layer')])
  await image.put()
  const other = await pushImage('read', '2', [Buffer.from('other')])
  await other.put()
  const seals = await one.as('node')
  const read = (part: string, of: string, permit?: string) =>
    seals.raw('readImage', {
      params: { part },
      query: { repository: 'read', image: of },
      headers: permit === undefined ? {} : { 'x-shadow-permit': permit },
    })
  await assert.rejects(read(image.digest, image.digest), /has no permit for the image/)
  await assert.rejects(read(image.digest, image.digest, 'wrong'), /has no permit for the image/)
  const asAdmin = one.admin.raw('readImage', {
    params: { part: digestOf('other') },
    query: { repository: 'read', image: image.digest },
  })
  await assert.rejects(asAdmin, /has no part/) // a part of another image of the repository
})

for (const name of ['Blog', 'blog//x', '-blog/x', 'my_app', 'blog/../x', `a${'/b'.repeat(200)}`, '%ff'])
  test(`"${name.slice(0, 20)}" is no repository`, async () => {
    const { status } = await call('GET', `/v2/${name}/tags/list`)
    assert.ok([400, 404].includes(status), String(status))
  })
