import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, test } from 'vitest'
import type { Sha256 } from '../../model/digest.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { directory as blobsIn } from '../blobs/directory.ts'
import { directory } from '../storage/directory.ts'
import { sourceCollection } from './source-collection.ts'
import { sourceStore } from './source-store.ts'

const DAY = 86_400_000
const root = await mkdtemp(join(tmpdir(), 'shadow-test-sources-'))
afterAll(() => rm(root, { recursive: true, force: true }))

const digestOf = (text: string): Sha256 => createHash('sha256').update(text).digest('hex') as Sha256
const content = async function* (text: string) {
  yield Buffer.from(text)
}

type Stored = {
  readonly on: TestMaster
  readonly clock: HandClock
  /** Stores the text as a source, and returns its digest. */
  put(text: string): Promise<Sha256>
  /** Makes the app, or its next revision, run the text. */
  deploy(app: string, text: string): Promise<void>
}

async function store(number: number): Promise<Stored & AsyncDisposable> {
  const path = join(root, String(number))
  const clock = new HandClock()
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${path}` }
  const on = await testMaster(await directory({ path }), clock, settings)
  const put = async (text: string): Promise<Sha256> => {
    const digest = digestOf(text)
    await on.admin.raw('putBlob', { params: { digest }, content: content(text) })
    return digest
  }
  return {
    on,
    clock,
    put,
    async deploy(app, text) {
      const body = { image: 'node', source: { digest: await put(text) } }
      const { items } = await on.admin.call('listApps', {})
      if (items.some(({ name }) => name === app)) await on.admin.call('replaceApp', { params: { app }, body })
      else await on.admin.call('registerApp', { body: { name: app, ...body } })
    },
    [Symbol.asyncDispose]: () => on[Symbol.asyncDispose](),
  }
}

/** What was done with the source `x`, how long before the collection, and whether it stays. */
const CASES: readonly (readonly [
  what: string,
  before: (on: Stored) => Promise<unknown>,
  ago: number,
  stays: boolean,
])[] = [
  ['of an app that never woke', on => on.deploy('blog', 'x'), 2 * DAY, true],
  ['of a release that a rollback reaches', on => deploys(on, 'x', 'y', 'z'), 2 * DAY, true],
  ['of a release that is out of reach', on => deploys(on, 'x', ...LATER), 2 * DAY, false],
  [
    'of a release that is out of reach, and that another app has',
    async on => {
      await deploys(on, 'x', ...LATER)
      await on.deploy('shop', 'x')
    },
    2 * DAY,
    true,
  ],
  [
    'of a removed app',
    async on => {
      await on.deploy('blog', 'x')
      await on.on.admin.call('removeApp', { params: { app: 'blog' }, query: {} })
    },
    2 * DAY,
    false,
  ],
  ['that no app ever had', on => on.put('x'), 2 * DAY, false],
  ['that was stored an hour ago, for an app that is still to come', on => on.put('x'), DAY / 24, true],
  [
    'that a deploy has asked for an hour ago, and did not send again',
    async on => {
      await on.put('x')
      await on.clock.leap(2 * DAY)
      await on.on.admin.raw('headBlob', { params: { digest: digestOf('x') } }).then(({ body }) => body.resume())
    },
    DAY / 24,
    true,
  ],
]
const LATER = Array.from({ length: 22 }, (_, number) => `later ${number}`)

async function deploys(on: Stored, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await on.deploy('blog', text)
}

describe('a source', () => {
  for (const [number, [what, before, ago, stays]] of CASES.entries())
    test(`${what} ${stays ? 'stays' : 'is removed'}`, async () => {
      await using there = await store(number)
      await before(there)
      await there.clock.leap(ago)
      const { on } = there
      const has = async (): Promise<boolean> =>
        (await on.admin.raw('getBlob', GET_X).catch(() => undefined)) !== undefined
      const planned = await on.admin.call('pruneImages', { body: { olderThan: '24h', dryRun: true } })
      assert.ok(await has())
      const removed = await on.admin.call('pruneImages', { body: { olderThan: '24h', dryRun: false } })
      assert.equal(await has(), stays)
      assert.deepEqual(removed, planned)
    })
})

const GET_X = { params: { digest: digestOf('x') } }

test('what releases need is listed with their sources', async () => {
  await using there = await store(100)
  await deploys(there, 'x', 'y')
  const { items } = await there.on.admin.call('listNeeded', { query: {} })
  assert.deepEqual(
    items.map(({ revision, source }) => [revision, source]),
    [
      [2, digestOf('y')],
      [1, digestOf('x')],
    ],
  )
})

/** A store of one master, with what stands between a look and a removal. */
function alone(number: number, needed: Sha256[] = []) {
  const clock = new HandClock()
  const storage = memoryStorage()
  const blobs = blobsIn({ path: join(root, `alone-${number}`) })
  const sources = sourceStore({ storage, blobs, clock })
  const all = async function* () {
    for (const digest of needed) yield { source: { digest } } as never
  }
  const collection = sourceCollection({ storage, store: sources, needed: { all }, clock, log: silentLog })
  const put = async (text: string) => {
    await sources.want(digestOf(text))
    await blobs.put(digestOf(text), content(text), new AbortController().signal)
  }
  return { clock, storage, blobs, sources, put, collect: () => collection.collect(DAY, { dryRun: false }) }
}

test('a source that is wanted between the look at it and its removal stays', async () => {
  const { clock, blobs, sources, put, collect } = alone(1)
  await put('x')
  await clock.leap(2 * DAY)
  const { size } = blobs
  let wanted: Promise<void> | undefined
  Object.assign(blobs, {
    size: async (digest: Sha256) => {
      const found = await size(digest)
      wanted ??= sources.want(digest)
      await wanted
      return found
    },
  })
  assert.deepEqual(await collect(), { sources: 0, sourceBytes: 0 })
  assert.equal(await size(digestOf('x')), 1)
})

test('a source that a master of an earlier version has stored is removed a day after it was seen first', async () => {
  const { clock, blobs, collect } = alone(2)
  await blobs.put(digestOf('old'), content('old'), new AbortController().signal)
  await clock.leap(5 * DAY)
  assert.deepEqual(await collect(), { sources: 0, sourceBytes: 0 })
  await clock.leap(DAY)
  assert.deepEqual(await collect(), { sources: 1, sourceBytes: 3 })
  assert.equal(await blobs.size(digestOf('old')), undefined)
})

test('nothing is removed if it is not known what releases need', async () => {
  const { clock, blobs, storage, sources, put } = alone(3)
  await put('x')
  await clock.leap(2 * DAY)
  const all = async function* (): AsyncGenerator<never> {
    yield { source: undefined } as never
    throw new Error('the store is away')
  }
  const collection = sourceCollection({ storage, store: sources, needed: { all }, clock, log: silentLog })
  await assert.rejects(collection.collect(DAY, { dryRun: false }), /the store is away/)
  assert.equal(await blobs.size(digestOf('x')), 1)
})
