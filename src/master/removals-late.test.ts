import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { HandClock } from '../testing/clock.ts'
import { fakeNode } from '../testing/fake-node.ts'
import { anAnnouncement } from '../testing/front.ts'
import { lateMaster } from '../testing/late-master.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { memoryStorage } from '../testing/memory-storage.ts'

const gone = (error: unknown): void => {
  if (!isFailure(error, 'app-not-found', 'not-found', 'volume-in-use')) throw error
}
type Removal = (master: TestMaster, app: string) => Promise<unknown>
type Removals = { readonly from: number; readonly before?: Removal; readonly late: Removal; readonly quick: Removal }

/**
 * Removes an app over the late master, which is held at each of its calls in turn. Meanwhile the app is removed over another one, and registered
 * anew. Returns how many calls the late master made.
 */
async function tells({ from, before, late: slowly, quick }: Removals): Promise<number> {
  const clock = new HandClock()
  await using node = await fakeNode('n1')
  const { address, key, controlKey } = node
  const storage = memoryStorage()
  const late = lateMaster(storage, document => document.includes('/blog'))
  await using one = await testMaster(storage, clock)
  await using two = await testMaster(late.storage, clock)
  const n1 = await one.as('node', 'n1')
  for (let heldAt = from; ; heldAt++) {
    const at = `held at call ${heldAt}`
    const app = `blog${heldAt}`
    const [params, volume] = [{ app }, app]
    await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
    // As a node does: what means an earlier app leaves the data of a later one alone.
    let dataOf = ''
    node.heard = async (call, query) => {
      if (call !== 'forgetApp' && call !== 'removeVolume') return
      await late.call()
      if (call === 'forgetApp' || dataOf === '') return
      if (dataOf > (query.get('createdAt') ?? '9')) throw new ShadowError('volume-in-use', 'a later app has it')
      dataOf = ''
    }
    const register = (value: string) =>
      one.admin.call('registerApp', {
        body: { name: app, image: 'x', volume: { size: '64MiB' }, secrets: { KEY: value } },
      })
    const use = async (): Promise<void> => {
      await one.admin.call('leaseVolume', { params: { volume }, body: { node: 'n1' } })
      dataOf = (await one.admin.call('getApp', { params })).createdAt
      await one.admin.call('takeSnapshot', { params: { volume }, body: {} })
    }
    await register('first')
    await use()
    await before?.(one, app)
    const held = late.hold(heldAt)
    const removal = slowly(two, app).catch(gone)
    if ((await Promise.race([held, removal.then(() => 'over')])) === 'over') return heldAt - 1
    await quick(one, app).catch(gone)
    await clock.advance(5)
    const { createdAt } = await register('second')
    // While data is being deleted it gets no lease, and has no data.
    const isUsed = await use().then(
      () => true,
      error => !isFailure(error, 'volume-in-use') && Promise.reject(error),
    )
    late.release()
    await removal
    if (!isUsed) await use()
    const found = await one.admin.call('getApp', { params }).catch(() => undefined)
    assert.equal(found?.createdAt, createdAt, at)
    assert.equal(dataOf, createdAt, at)
    const { app: owner, lease } = await one.admin.call('getVolume', { params: { volume } })
    assert.deepEqual([owner, lease?.node], [app, 'n1'], at)
    const { items } = await one.admin.call('listSnapshots', { params: { volume } })
    assert.ok(items.length > 0, at)
    assert.equal((await one.admin.call('listReleases', { params })).items.length, 1, at)
    const definition = (await one.admin.call('getDefinition', { params })) as { secrets?: Record<string, string> }
    assert.equal(definition.secrets?.['KEY'], 'second', at)
    assert.equal((await one.admin.call('getHost', { params: { hostname: `${app}.localhost` } })).name, app, at)
  }
}

const removeApp: Removal = ({ admin }, app) =>
  admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
const keepVolume: Removal = ({ admin }, app) => admin.call('removeApp', { params: { app } })
const removeVolume: Removal = ({ admin }, volume) => admin.call('removeVolume', { params: { volume } })

describe('a master that is late does not touch the next app of the name', () => {
  // Before call 3 the late master has not read which app it is.
  test('with the removal of an app and its volume', async () => {
    const last = await tells({ from: 3, late: removeApp, quick: removeApp })
    assert.ok(last > 25, `${last} calls`)
  }, 240_000)

  test('with the removal of an app whose volume stays', async () => {
    const last = await tells({ from: 3, late: keepVolume, quick: keepVolume })
    assert.ok(last > 10, `${last} calls`)
  }, 240_000)

  test('with the removal of a volume that no app has', async () => {
    const last = await tells({ from: 1, before: keepVolume, late: removeVolume, quick: removeVolume })
    assert.ok(last > 5, `${last} calls`)
  }, 240_000)

  test('with a change of an app', async () => {
    const update: Removal = ({ admin }, app) =>
      admin.call('updateApp', { params: { app }, body: { env: { A: 'first' } } }).catch(error => {
        if (!isFailure(error, 'internal')) throw error // the secrets of the removed app are gone
      })
    const last = await tells({ from: 2, late: update, quick: removeApp })
    assert.ok(last > 5, `${last} calls`)
  }, 240_000)
})

test('a restore to a new app that fails takes back the app that it made, and no later one of its name', async () => {
  const clock = new HandClock()
  await using node = await fakeNode('n1')
  await using master = await testMaster(memoryStorage(), clock)
  const { address, key, controlKey } = node
  const n1 = await master.as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  const registerApp = (name: string) =>
    master.admin.call('registerApp', { body: { name, image: 'x', volume: { size: '64MiB' } } })
  await registerApp('blog')
  await master.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'n1' } })
  await master.admin.call('backUpApp', { params: { app: 'blog' } })
  const copy = { params: { app: 'copy' } }
  let createdAt: string | undefined
  node.heard = async call => {
    if (call !== 'restoreBackup') return
    await master.admin.call('removeApp', { ...copy, query: { withVolume: 'true' } })
    await clock.advance(5)
    createdAt = (await registerApp('copy')).createdAt
    throw new ShadowError('disk-full', 'the disk of n1 is full')
  }
  await assert.rejects(master.admin.call('restoreApp', { params: { app: 'blog' }, body: { to: 'copy' } }), error =>
    isFailure(error, 'disk-full'),
  )
  assert.ok(createdAt)
  assert.equal((await master.admin.call('getApp', copy)).createdAt, createdAt)
})
