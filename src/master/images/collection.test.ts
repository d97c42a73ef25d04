import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { type OciDigest, type Repository, repository } from '../../model/image-store.ts'
import type { AppName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { directory } from '../blobs/directory.ts'
import type { Storage } from '../storage/storage.ts'
import { type Collected, imageCollection } from './collection.ts'
import { OCI_INDEX } from './manifest.ts'
import { imageStore } from './store.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const never = new AbortController().signal
const blog = repository('blog')
const path = await mkdtemp(join(tmpdir(), 'shadow-test-collection-'))
afterAll(() => rm(path, { recursive: true, force: true }))

let clock: HandClock
let storage: Storage
let blobs: Blobs
let apps: Map<string, AppName[]>
let count = 0
beforeEach(() => {
  clock = new HandClock()
  storage = memoryStorage()
  blobs = directory({ path: join(path, String(count++)), folder: 'layers' })
  apps = new Map()
})

/** A master on the store; `over` and `content` stand between the master and the store. */
function master({ over = storage, content = blobs }: { over?: Storage; content?: Blobs } = {}) {
  const needed = async () => apps
  const store = imageStore({ storage: over, blobs: content, clock, limitBytes: 2 ** 30, needed })
  const collection = imageCollection({ storage: over, store, needed, clock, log: silentLog })
  return { ...store, collect: (dryRun = false): Promise<Collected> => collection.collect(DAY, { dryRun }) }
}
type Master = ReturnType<typeof master>

const digestOf = (content: Buffer | string): OciDigest =>
  `sha256:${createHash('sha256').update(content).digest('hex')}` as OciDigest

async function pushBlob(on: Master, content: Buffer, to = blog): Promise<OciDigest> {
  const digest = digestOf(content)
  if ((await on.blobs.want(to, digest)) === undefined)
    await on.uploads.whole(
      to,
      digest,
      (async function* () {
        yield content
      })(),
      never,
    )
  return digest
}

type Pushed = { tag?: string; to?: Repository; subject?: OciDigest }

async function push(
  on: Master,
  layers: readonly Buffer[],
  { tag, to = blog, subject }: Pushed = {},
): Promise<OciDigest> {
  const described = async (content: Buffer) => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: await pushBlob(on, content, to),
    size: content.length,
  })
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: { ...(await described(Buffer.from('{}'))), mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: await Promise.all(layers.map(described)),
    ...(subject && { subject: { mediaType: OCI_IMAGE, digest: subject, size: 1 } }),
  })
  return put(on, text, OCI_IMAGE, tag, to)
}

async function put(on: Master, text: string, type: string, tag: string | undefined, to = blog): Promise<OciDigest> {
  return (await on.manifests.put(to, text, { type, named: tag === undefined ? [] : [tag] })).digest
}

const layer = (): Buffer => randomBytes(64)
/** Whether the image is there with all that it needs. */
async function isWhole(on: Master, digest: OciDigest, layers: readonly Buffer[], at = blog): Promise<boolean> {
  const there = await Promise.all(layers.map(content => on.blobs.of(at, digestOf(content))))
  return (await on.manifests.of(at, digest)) !== undefined && there.every(blob => blob !== undefined)
}

test('an image without a tag goes when it is old, with the layers that no other image has', async () => {
  const on = master()
  const [shared, own, next] = [layer(), layer(), layer()]
  const old = await push(on, [shared, own], { tag: '1' })
  const now = await push(on, [shared, next], { tag: '1' })
  await clock.advance(DAY - 1)
  assert.deepEqual(await on.collect(), { images: [], blobs: 0, bytes: 0, uploads: 0 })
  await clock.advance(1)
  const planned = { images: [{ repository: blog, digest: old }], blobs: 1, bytes: 64, uploads: 0 }
  assert.deepEqual(await on.collect(true), planned)
  assert.ok(await isWhole(on, old, [shared, own])) // that was a dry run
  assert.deepEqual(await on.collect(), planned)
  assert.equal(await on.manifests.of(blog, old), undefined)
  assert.equal(await blobs.size(digestOf(own).slice(7) as never), undefined)
  assert.ok(await isWhole(on, now, [shared, next]))
  assert.ok(await isWhole(on, await push(on, [own], { tag: 'again' }), [own])) // what was removed can be pushed again
})

test('an image that an app needs stays without a tag, and cannot be deleted', async () => {
  const on = master()
  const layers = [layer()]
  const digest = await push(on, layers)
  apps.set(`blog@${digest}`, ['blog' as AppName])
  await clock.advance(30 * DAY)
  assert.deepEqual((await on.collect()).images, [])
  assert.ok(await isWhole(on, digest, layers))
  const isDenied = (error: unknown): boolean =>
    isFailure(error, 'forbidden') && /the app blog needs/.test(error.message)
  await assert.rejects(on.manifests.remove(blog, digest), isDenied)
  apps.clear()
  assert.equal((await on.collect()).images.length, 1)
})

test('what an index names stays with it, and what is about an image stays with that image', async () => {
  const on = master()
  const [a, b, signature] = [layer(), layer(), layer()]
  const child = await push(on, [a])
  const index = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [{ mediaType: OCI_IMAGE, digest: child, size: 1 }],
  }
  const whole = await put(on, JSON.stringify(index), OCI_INDEX, 'multi')
  const alone = await push(on, [b])
  const about = await push(on, [signature], { subject: child })
  const aboutAlone = await push(on, [signature, b], { subject: alone })
  await clock.advance(2 * DAY)
  const removed = (await on.collect()).images.map(({ digest }) => digest).sort()
  assert.deepEqual(removed, [alone, aboutAlone].sort())
  assert.ok((await isWhole(on, child, [a])) && (await isWhole(on, about, [signature])))
  assert.deepEqual(
    (await on.manifests.referrers(blog, child, undefined)).items.map(({ digest }) => digest),
    [about],
  )
  await on.tags.remove(blog, 'multi')
  assert.deepEqual((await on.collect()).images.length, 3)
  assert.deepEqual(await storage.list('images/blog/'), [])
  assert.deepEqual(await blobs.list('', { limit: 10 }), [])
  assert.equal(await on.manifests.of(blog, whole), undefined)
})

test('a layer that a push in progress found there stays', async () => {
  const on = master()
  const old = layer()
  await push(on, [old])
  await clock.advance(2 * DAY)
  await pushBlob(on, old) // docker asks for the layer by HEAD, and does not send it again
  await clock.advance(HOUR)
  await on.collect()
  const digest = await push(on, [old], { tag: 'new' })
  assert.ok(await isWhole(on, digest, [old]))
})

test('a layer that is wanted between the look at it and its removal stays', async () => {
  const pusher = master()
  const old = layer()
  await push(pusher, [old])
  await clock.advance(2 * DAY)
  let pushed: OciDigest | undefined
  const over: Storage = {
    ...storage,
    update: async (key, value, etag) => {
      // The collector has seen everything, and claims its first document now.
      if ('removingSince' in value && pushed === undefined) pushed = await push(pusher, [old, layer()], { tag: 'new' })
      return storage.update(key, value, etag)
    },
  }
  await master({ over }).collect()
  assert.ok(pushed !== undefined && (await isWhole(pusher, pushed, [old])))
})

test('a push that meets the removal of a layer waits for its end, and stores the layer anew', async () => {
  const pusher = master()
  const old = layer()
  await push(pusher, [old])
  await clock.advance(2 * DAY)
  let pushing: Promise<OciDigest> | undefined
  const content: Blobs = {
    ...blobs,
    remove: async digest => {
      pushing ??= push(pusher, [old], { tag: 'new' })
      await blobs.remove(digest)
    },
  }
  await master({ content }).collect()
  const digest = await pushing
  assert.ok(digest !== undefined && (await isWhole(pusher, digest, [old])))
})

test('a removal whose master died is finished by another one, or by whoever pushes the layer', async () => {
  const on = master()
  const [one, other] = [layer(), layer()]
  await push(on, [one, other])
  await clock.advance(2 * DAY)
  const dead: Blobs = {
    ...blobs,
    remove: async () => {
      throw new Error('the master died')
    },
  }
  await assert.rejects(master({ content: dead }).collect())
  await clock.advance(HOUR)
  assert.ok(await isWhole(on, await push(on, [one], { tag: 'new' }), [one]))
  await on.collect()
  await on.collect()
  assert.equal(await blobs.size(digestOf(other).slice(7) as never), undefined)
  assert.ok((await on.blobs.of(blog, digestOf(one))) !== undefined)
})

test('chunks of an upload stay until it lapses; then it goes, and its chunks with it', async () => {
  const on = master()
  const chunk = layer()
  const content = (async function* () {
    yield chunk
  })()
  const id = await on.uploads.start(blog)
  await on.uploads.append(blog, id, { content }, never)
  await clock.advance(DAY)
  assert.deepEqual(await on.collect(), { images: [], blobs: 0, bytes: 0, uploads: 0 })
  await clock.advance(2 * HOUR)
  assert.deepEqual(await on.collect(), { images: [], blobs: 1, bytes: 64, uploads: 1 })
  assert.deepEqual(await storage.list('images/'), [])
})

test('two masters collect while others push and retag: every image that has a tag is whole', async () => {
  const masters = [master(), master(), master()]
  const layers = Array.from({ length: 6 }, layer)
  const pick = (): Buffer[] => layers.filter(() => Math.random() < 0.5)
  const last = new Map<string, { digest: OciDigest; layers: Buffer[] }>()
  for (let round = 0; round < 30; round++) {
    const pushing = ['a', 'b', 'c'].map(async (tag, n) => {
      const chosen = pick()
      last.set(tag, { digest: await push(masters[n]!, chosen, { tag }), layers: chosen })
    })
    await Promise.all([...pushing, masters[0]!.collect(), masters[1]!.collect()])
    for (const [tag, { digest, layers }] of last) {
      assert.equal(await masters[2]!.tags.of(blog, tag), digest)
      assert.ok(await isWhole(masters[2]!, digest, layers), `round ${round}`)
    }
    await clock.advance(round % 3 === 0 ? 2 * DAY : HOUR)
  }
})
