import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { Seals } from '../../lib/seals.ts'
import { appName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { placementPermits } from '../permits.ts'
import { directory } from '../storage/directory.ts'

const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const TAG = '0123456789ab'
const path = await mkdtemp(join(tmpdir(), 'shadow-test-pushes-'))
const clock = new HandClock()
const seals = new Seals([Buffer.from(TEST_SECRETS_KEY, 'base64')])
const { forPush } = placementPermits({ seals, clock } as unknown as Parameters<typeof placementPermits>[0])
let on: TestMaster
let tokens: { readonly n1: string; readonly n2: string; readonly proxy: string }
beforeAll(async () => {
  // By hand alone: the clock moves for days.
  const by = { SHADOW_IMAGES_PRUNED: 'never' }
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${path}`, ...by }
  on = await testMaster(await directory({ path }), clock, settings)
  const { master } = on
  tokens = {
    n1: await master.nodeToken(nodeName('n1')),
    n2: await master.nodeToken(nodeName('n2')),
    proxy: await master.token('proxy'),
  }
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const digestOf = (content: string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`
type Sent = { readonly body?: string; readonly permit?: string; readonly as?: keyof typeof tokens }

async function call(method: string, at: string, { body, permit, as = 'n1' }: Sent = {}): Promise<Response> {
  return fetch(`${on.master.url}${at}`, {
    method,
    headers: {
      authorization: `Bearer ${tokens[as]}`,
      'content-type': OCI_IMAGE,
      ...(permit !== undefined && { 'x-shadow-permit': permit }),
    },
    ...(body !== undefined && { body }),
  })
}

/** Pushes an image as a node's Docker does, and returns the status of each request. */
async function push(name: string, tag: string, permit: string | undefined): Promise<readonly number[]> {
  const statuses: number[] = []
  const sent = async (method: string, at: string, body?: string) => {
    const answer = await call(method, at, { permit, body } as Sent)
    statuses.push(answer.status)
    return answer
  }
  const parts = ['{}', `layer of ${name}`]
  for (const part of parts) {
    await sent('HEAD', `/v2/${name}/blobs/${encodeURIComponent(digestOf(part))}`)
    const at = (await sent('POST', `/v2/${name}/blobs/uploads/`)).headers.get('location') ?? '/v2/x/blobs/uploads/x'
    await sent('PATCH', at, part)
    await sent('PUT', `${at}?digest=${digestOf(part)}`)
  }
  const [config = '', layer = ''] = parts
  const described = (content: string) => ({ digest: digestOf(content), size: content.length })
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: { ...described(config), mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [{ ...described(layer), mediaType: 'application/vnd.oci.image.layer.v1.tar' }],
  }
  await sent('PUT', `/v2/${name}/manifests/${tag}`, JSON.stringify(manifest))
  return statuses
}

test('a node pushes what it builds for an app by the permit for that, and an app runs it', async () => {
  const permit = forPush(appName('blog'), nodeName('n1'))
  assert.deepEqual(await push('blog', TAG, permit), [404, 202, 202, 201, 404, 202, 202, 201, 201])
  const { task } = await on.admin.call('registerApp', { body: { name: 'blog', image: `master.shadow/blog:${TAG}` } })
  assert.equal(task.pinned?.id, digestOf('{}'))
  const { items } = await on.admin.call('listImages', { query: { repository: 'blog' } })
  assert.deepEqual(items[0]?.apps, ['blog'])
})

for (const [why, permit, name, tag] of [
  ['without a permit', () => undefined, 'shop', TAG],
  ['by a permit for another app', () => forPush(appName('blog'), nodeName('n1')), 'shop', TAG],
  ['by the permit of another node', () => forPush(appName('shop'), nodeName('n2')), 'shop', TAG],
  ['by a permit that is not signed', () => `${clock.wall() + 1000}.aaaa.bbbb`, 'shop', TAG],
] as const)
  test(`a node pushes nothing ${why}`, async () => {
    const statuses = await push(name, tag, permit())
    assert.deepEqual([...new Set(statuses)], [403])
  })

test('a permit to push reads nothing, mounts nothing, removes nothing, and sets no tag of a person', async () => {
  const permit = forPush(appName('blog'), nodeName('n1'))
  const digest = digestOf('layer of blog')
  for (const [method, at] of [
    ['GET', `/v2/blog/blobs/${digest}`],
    ['GET', `/v2/blog/manifests/${TAG}`],
    ['GET', '/v2/blog/tags/list'],
    ['DELETE', `/v2/blog/manifests/${TAG}`],
    ['POST', `/v2/blog/blobs/uploads/?mount=${digest}&from=shop`],
    ['PUT', '/v2/blog/manifests/latest'],
    ['PUT', '/v2/blog/manifests/3'],
    ['HEAD', `/v2/blog/other/blobs/${digest}`],
  ] as const)
    assert.equal(
      (await call(method, at, { permit, ...(method === 'PUT' && { body: '{}' }) })).status,
      403,
      `${method} ${at}`,
    )
  assert.equal((await call('HEAD', `/v2/blog/blobs/${digest}`, { permit, as: 'proxy' })).status, 403)
})

test('a permit to push ends after a day', async () => {
  const permit = forPush(appName('blog'), nodeName('n1'))
  const digest = digestOf('layer of blog')
  assert.equal((await call('HEAD', `/v2/blog/blobs/${digest}`, { permit })).status, 200)
  await clock.advance(86_400_001)
  assert.equal((await call('HEAD', `/v2/blog/blobs/${digest}`, { permit })).status, 403)
})

test('an image of a build stays as long as a release has it, and its tag does not keep it', async () => {
  assert.equal((await push('shop', TAG, forPush(appName('shop'), nodeName('n1')))).at(-1), 201)
  await clock.advance(2 * 86_400_000)
  const collected = await on.admin.call('pruneImages', { body: { olderThan: '24h', dryRun: false } })
  assert.deepEqual(
    collected.images.map(({ repository }) => repository),
    ['shop'],
  )
  await assert.rejects(
    on.admin.call('removeImage', { query: { image: `shop:${TAG}` } }),
    error => isFailure(error, 'not-found'), // the tag went with its image
  )
  await on.admin.call('removeApp', { params: { app: 'blog' }, query: {} })
  assert.deepEqual(
    (await on.admin.call('pruneImages', { body: { olderThan: '24h', dryRun: false } })).images.map(
      ({ repository }) => repository,
    ),
    ['blog'],
  )
})
