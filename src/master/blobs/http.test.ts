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

const path = await mkdtemp(join(tmpdir(), 'shadow-test-blobs-http-'))
let on: TestMaster
let token: string
beforeAll(async () => {
  const settings = {
    SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
    SHADOW_BLOB_LIMIT: '1MiB',
    SHADOW_STORAGE: `directory:${path}`,
  }
  on = await testMaster(await directory({ path }), new HandClock(), settings)
  token = await on.master.token('admin')
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

function aBlob(bytes: number) {
  const content = randomBytes(bytes)
  return { content, digest: createHash('sha256').update(content).digest('hex') }
}

const call = (method: string, digest: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  fetch(`${on.master.url}/v1/blobs/${digest}`, {
    ...init,
    method,
    headers: { authorization: `Bearer ${token}`, ...init.headers },
  })
const code = async (response: Response) => ((await response.json()) as { code: string }).code

test('a blob is put, asked for by HEAD and read again, whole and in ranges', async () => {
  const { content, digest } = aBlob(300_000)
  assert.equal((await call('HEAD', digest)).status, 404)
  assert.equal((await call('PUT', digest, { body: content })).status, 204)
  assert.equal((await call('PUT', digest, { body: content })).status, 204)
  const head = await call('HEAD', digest)
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, '300000'])
  const whole = await call('GET', digest)
  assert.deepEqual([whole.status, whole.headers.get('etag')], [200, `"${digest}"`])
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(content))
  for (const [range, first, last] of [
    ['bytes=10-19', 10, 19],
    ['bytes=299990-', 299_990, 299_999],
    ['bytes=299990-999999', 299_990, 299_999],
  ] as const) {
    const part = await call('GET', digest, { headers: { range } })
    assert.deepEqual([part.status, part.headers.get('content-range')], [206, `bytes ${first}-${last}/300000`])
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(content.subarray(first, last + 1)))
  }
  const outside = await call('GET', digest, { headers: { range: 'bytes=300000-' } })
  assert.deepEqual([outside.status, await code(outside)], [400, 'bad-input'])
})

test('an empty blob is a blob', async () => {
  const { content, digest } = aBlob(0)
  assert.equal((await call('PUT', digest, { body: content })).status, 204)
  assert.equal((await (await call('GET', digest)).arrayBuffer()).byteLength, 0)
})

test('content of another digest is refused, and nothing is kept of it', async () => {
  const { content } = aBlob(1000)
  const { digest } = aBlob(1000)
  const refused = await call('PUT', digest, { body: content })
  assert.deepEqual([refused.status, await code(refused)], [400, 'bad-input'])
  assert.equal((await call('HEAD', digest)).status, 404)
})

test('more than SHADOW_BLOB_LIMIT is refused, whether the length is announced or not', async () => {
  const { content, digest } = aBlob(2 ** 20 + 1)
  const chunks = async function* () {
    for (let at = 0; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536)
  }
  for (const init of [{ body: content }, { body: chunks(), duplex: 'half' } as RequestInit]) {
    const refused = await call('PUT', digest, init as never)
    assert.deepEqual([refused.status, await code(refused)], [413, 'too-large'])
  }
  assert.equal((await call('HEAD', digest)).status, 404)
})

test('an upload that ends early leaves nothing', async () => {
  const { content, digest } = aBlob(100_000)
  const headers = { authorization: `Bearer ${token}`, 'content-length': content.length }
  const cut = request(`${on.master.url}/v1/blobs/${digest}`, { method: 'PUT', headers })
  const closed = new Promise(resolve => cut.on('close', resolve))
  cut.on('error', () => undefined)
  cut.write(content.subarray(0, 50_000), () => cut.destroy())
  await closed
  assert.equal((await call('HEAD', digest)).status, 404)
  assert.equal((await call('PUT', digest, { body: content })).status, 204)
})

test('only the role admin may, and only with a digest', async () => {
  const { digest } = aBlob(1)
  const node = await on.master.nodeToken('n1' as never)
  for (const [method, given] of [
    ['PUT', node],
    ['GET', node],
    ['PUT', await on.master.token('proxy')],
  ] as const)
    assert.equal((await call(method, digest, { headers: { authorization: `Bearer ${given}` } })).status, 403)
  assert.equal((await call('GET', digest, { headers: { authorization: '' } })).status, 401)
  assert.equal((await call('GET', 'nothing')).status, 400)
})
