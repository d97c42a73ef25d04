import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../../lib/errors.ts'
import { KEPT_RELEASES } from '../../model/release.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

let path: string
let on: TestMaster
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-releases-'))
  on = await testMaster(await directory({ path }))
})
afterEach(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const params = { app: 'blog' }
const register = (more: object = {}) => on.admin.call('registerApp', { body: { name: 'blog', image: 'x:1', ...more } })
const update = (body: object, query: { by?: 'deploy'; note?: string } = {}) =>
  on.admin.call('updateApp', { params, body: { ...body }, query })
const rollback = (to?: number) => on.admin.call('rollbackApp', { params, body: { to } })
const releases = async () => (await on.admin.call('listReleases', { params })).items
const diff = (query = {}) => on.admin.call('diffReleases', { params, query })
const rejectsWith = (code: FailureCode, action: Promise<unknown>, says = /./) =>
  assert.rejects(action, error => isFailure(error, code) && says.test(`${error.message} ${error.details.hint}`))

/** A node that knows the app: what it says of the definition it is asked about, and of the current revision. */
async function aNode(): Promise<FakeNode> {
  const node = await fakeNode('n1', [instanceView('blog', 'n1', 'awake')])
  const { address, key, controlKey } = node
  const body = anAnnouncement({ address, key, controlKey })
  await on.admin.call('announceNode', { params: { node: 'n1' }, body })
  return node
}
/** The node has run revision `revision` with this image, and finds `image` by the name. */
const ran = (node: FakeNode, revision: number, image = 'sha256:1') => {
  node.checked = { image: { id: image }, ran: { id: image }, revision, rejected: false }
}

describe('releases', () => {
  test('tell what made them, who, and what they changed; never a value', async () => {
    await register({ env: { A: 'hush-1' } })
    await update({ image: 'x:2', env: { A: 'hush-2', B: 'hush-3' } }, { by: 'deploy', note: 'commit 4f2a' })
    await on.admin.call('changeSecrets', { params, body: { KEY: 'hush-4' } })
    await rollback(1)
    const all = await releases()
    assert.doesNotMatch(JSON.stringify(all), /hush/)
    assert.deepEqual(
      all.map(({ revision, made, secretsVersion, isCurrent }) => [
        revision,
        made?.by,
        made?.to,
        secretsVersion,
        isCurrent,
      ]),
      [
        [4, 'rollback', 1, null, true],
        [3, 'secrets', undefined, 1, false],
        [2, 'deploy', undefined, null, false],
        [1, 'register', undefined, null, false],
      ],
    )
    assert.deepEqual([all[2]?.made?.note, all[2]?.made?.who?.startsWith('admin')], ['commit 4f2a', true])
    assert.deepEqual(
      all[2]?.changes.map(({ field }) => field),
      ['image', 'env.A', 'env.B'],
    )
    assert.deepEqual(all[1]?.changes.at(-1), { field: 'secretsVersion', after: 1 })
    assert.deepEqual(all[3]?.changes, [])
  })

  test('say which one serves and which one was rejected, and what did not answer', async () => {
    await register()
    await using node = await aNode()
    ran(node, 1)
    await update({ image: 'x:2' })
    const problem = { type: '', title: '', status: 502, code: 'app-crashed' as const, detail: 'it ended' }
    node.instances[0] = { ...instanceView('blog', 'n1', 'awake'), rejected: { revision: 2, problem } }
    assert.deepEqual(
      (await releases()).map(({ revision, serves, outcome }) => [revision, serves, outcome]),
      [
        [2, false, 'rejected'],
        [1, true, 'ready'],
      ],
    )
    node.failures.set('listInstances', new ShadowError('internal', 'away'))
    const { items, silent } = await on.admin.call('listReleases', { params })
    assert.deepEqual([silent, items.map(({ outcome }) => outcome)], [['n1'], [null, 'ready']])
  })

  test('are compared by digests of variables and secrets', async () => {
    await register({ env: { A: 'hush-1' }, secrets: { KEY: 'hush-2' } })
    await update({ env: { A: 'hush-3' }, port: 80 })
    await on.admin.call('changeSecrets', { params, body: { KEY: 'hush-1' } })
    const { from, to, changes } = await diff({ from: 1 })
    assert.doesNotMatch(JSON.stringify(changes), /hush/)
    assert.deepEqual([from, to], [1, 3])
    assert.deepEqual(
      changes.map(({ field }) => field),
      ['env.A', 'port', 'portFrom', 'secretsVersion', 'secrets.KEY'],
    )
    const [env, secret] = ['env.A', 'secrets.KEY'].map(name => changes.find(({ field }) => field === name))
    assert.equal(env?.before, secret?.after, 'equal values have equal digests')
    assert.deepEqual(
      (await diff()).changes.map(({ field }) => field),
      ['secretsVersion', 'secrets.KEY'],
    )
    assert.deepEqual((await diff({ from: 2, to: 2 })).changes, [])
    await rejectsWith('not-found', diff({ to: 1 }), /no release before 1/)
    await rejectsWith('not-found', diff({ from: 9 }), /no release 9.*3, 2, 1/)
  })

  test('are kept as far as they can be rolled back to; the error for others says which can', async () => {
    await register({ env: { A: '0' }, secrets: { KEY: '0' } })
    const last = KEPT_RELEASES + 4
    for (let at = 2; at <= last; at++)
      await (at % 2
        ? update({ env: { A: `${at}` } })
        : on.admin.call('changeSecrets', { params, body: { KEY: `${at}` } }))
    assert.deepEqual(
      (await releases()).map(({ revision }) => revision),
      Array.from({ length: KEPT_RELEASES + 1 }, (_, at) => last - at),
    )
    await rejectsWith(
      'not-found',
      rollback(3),
      /release 3 of blog is out of reach; it has 24, 23, .*, 4 shadow releases blog/,
    )
    const storage = await directory({ path })
    assert.equal((await storage.list('tasks/blog/')).length, KEPT_RELEASES)
    // Release 4 has the secrets of itself, 5 the same.
    const versions = (await storage.list('secrets/blog/')).map(key => Number(/\d+/.exec(key)))
    assert.deepEqual(versions.sort((a, b) => a - b)[0], 3)
    assert.deepEqual(
      (await on.admin.call('getRelease', { params: { app: 'blog', revision: 4 } })).task.secretsVersion,
      3,
    )
  })
})

test('what releases in reach need is listed, of all apps, page by page', async () => {
  await register()
  await using node = await aNode()
  ran(node, 1)
  await update({ image: 'x:2' })
  await on.admin.call('registerApp', { body: { name: 'other', image: 'y' } })
  await on.admin.call('removeApp', { params: { app: 'other' } })
  await on.admin.call('registerApp', { body: { name: 'third', image: 'z' } })
  const items: { app: string; revision: number; image: string; id?: string | undefined }[] = []
  let after: string | undefined
  do {
    const page = await on.admin.call('listNeeded', { query: { after, limit: 1 } })
    items.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  assert.deepEqual(
    items.map(({ app, revision, image, id }) => [app, revision, image, id]),
    [
      ['blog', 2, 'x:2', 'sha256:1'],
      ['blog', 1, 'x:1', 'sha256:1'],
      ['third', 1, 'z', 'sha256:1'],
    ],
  )
})

describe('a rollback', () => {
  test('makes a release with the definition, the image and the secrets of an earlier one; domains, access, scale and updates of others stay', async () => {
    await register({ env: { A: '1' }, secrets: { KEY: 'one' } })
    await using node = await aNode()
    ran(node, 1)
    await update({ env: { A: '2' }, image: 'x:2', domains: ['other.example'] })
    await on.admin.call('changeSecrets', { params, body: { KEY: 'two' } })
    await on.admin.call('setAccess', { params, body: { deny: ['203.0.113.7'] } })
    await on.admin.call('setScale', { params, body: { max: 4 } })
    node.checked = { image: { id: 'sha256:9' }, ran: null, revision: 3 }
    const { app, from, to } = await rollback(1)
    assert.deepEqual([from, to, app.task.revision], [3, 1, 4])
    assert.deepEqual([app.task.image, app.task.env, app.task.secretsVersion], ['x:1', { A: '1' }, 1])
    assert.deepEqual([app.domains, app.access?.deny, app.scale?.max], [['other.example'], ['203.0.113.7'], 4])
  })

  test('runs the image that the release ran, whatever its name stands for now', async () => {
    await register()
    await using node = await aNode()
    ran(node, 1, 'sha256:old')
    await update({ env: { A: '1' } }) // pins the image that ran
    ran(node, 2, 'sha256:old')
    node.checked = { ...node.checked, image: { id: 'sha256:new' } }
    await update({ image: 'x:1' })
    assert.equal((await on.admin.call('getApp', { params })).task.pinned?.id, 'sha256:new')
    assert.equal((await rollback(2)).app.task.pinned?.id, 'sha256:old')
  })

  test('goes to the last release that was ready where none is named, and not to one that is the same', async () => {
    await register({ env: { A: 'good' } })
    await using node = await aNode()
    ran(node, 1)
    await update({ env: { A: 'never ran' } })
    node.checked = { ...node.checked, ran: null, revision: 2 }
    await update({ env: { A: 'crashes' } })
    node.checked = { ...node.checked, ran: null, revision: 3, rejected: true }
    node.instances[0] = { ...instanceView('blog', 'n1', 'asleep'), revision: 3 }
    const { app, to } = await rollback()
    assert.deepEqual([to, app.task.env], [1, { A: 'good' }])
    assert.deepEqual(
      (await releases()).map(({ outcome }) => outcome),
      [null, 'rejected', null, 'ready'],
    )
    await rejectsWith('not-found', rollback(), /known to have been ready.*shadow rollback blog REV, of 3, 2, 1/)
    await rejectsWith('bad-input', rollback(4), /release 4 of blog is the current one/)
    const again = await rollback(1)
    assert.deepEqual([again.from, again.to, again.app.task.revision], [4, 1, 4], 'it is the same: no release is made')
  })

  test('does not shrink a volume', async () => {
    await register({ volume: { size: '16MiB' } })
    await update({ volume: { size: '32MiB' }, env: { A: '1' } })
    const { app } = await rollback(1)
    assert.deepEqual([app.task.volume?.size, app.task.env], ['32MiB', {}])
  })

  test('that its node cannot run changes nothing', async () => {
    await register()
    await update({ image: 'x:2' })
    await using node = await aNode()
    node.failures.set('checkInstance', new ShadowError('image-not-found', 'the image x:1 is not here any more'))
    await rejectsWith('image-not-found', rollback(1))
    assert.equal((await on.admin.call('getApp', { params })).task.revision, 2)
  })

  test('is for admins', async () => {
    await register()
    for (const role of ['node', 'proxy'] as const) {
      const client = await on.as(role)
      await rejectsWith('forbidden', client.call('rollbackApp', { params, body: {} }), /role admin/)
      await rejectsWith('forbidden', client.call('listReleases', { params }))
      await rejectsWith('forbidden', client.call('diffReleases', { params }))
    }
  })

  test('keeps what others change at the same time through another master', async () => {
    await register({ env: { A: '1' } })
    await update({ env: { A: '2' } })
    await using other = await testMaster(await directory({ path }))
    await Promise.all([
      rollback(1),
      ...Array.from({ length: 6 }, (_, at) =>
        (at % 2 ? on : other).admin.call('changeSecrets', { params, body: { [`S${at}`]: 'x' } }),
      ),
      other.admin.call('setAccess', { params, body: { deny: ['203.0.113.7'] } }),
    ])
    const app = await on.admin.call('getApp', { params })
    assert.deepEqual([app.task.revision, app.task.env, app.access?.deny], [9, { A: '1' }, ['203.0.113.7']])
    assert.deepEqual(
      (await releases()).map(({ revision }) => revision),
      [9, 8, 7, 6, 5, 4, 3, 2, 1],
    )
  })
})
