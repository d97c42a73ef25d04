import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { newSealKey } from '../../lib/seals.ts'
import { HandClock } from '../../testing/clock.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { MastersEnvironment } from '../../testing/masters-environment.ts'
import { directory } from '../storage/directory.ts'

const PLANTED = 'planted-secret-8c1e'

let path: string
let on: TestMaster
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-app-secrets-'))
  on = await testMaster(await directory({ path }))
})
afterEach(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const params = { app: 'blog' }
const register = (more: object = {}) =>
  on.admin.call('registerApp', { body: { name: 'blog', image: 'x', volume: { size: '16MiB' }, ...more } })
const update = (body: object) => on.admin.call('updateApp', { params, body: { ...body } })
const set = (body: Record<string, string | null>, query = {}, admin = on.admin) =>
  admin.call('changeSecrets', { params, body, query })
const stage = (body: Record<string, string | null>) => set(body, { stage: 'true' })
const list = () => on.admin.call('listSecrets', { params })
const get = () => on.admin.call('getApp', { params })
const rejectsWith = (code: FailureCode, action: Promise<unknown>, says = /./) =>
  assert.rejects(action, error => isFailure(error, code) && says.test(`${error.message} ${error.details.hint}`))
const sinceOf = async () => Object.fromEntries((await list()).items.map(({ name, since }) => [name, since]))

/** The environment that the node of the app gets. */
async function envOnNode(master: TestMaster = on): Promise<unknown> {
  const node = await master.as('node', 'n1')
  await master.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'n1' } })
  return (await node.call('getApp', { params })).task.env
}

async function filesWith(text: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  // The file of a lock is gone by the time that it is read.
  const contents = await Promise.all(files.map(file => readFile(file, 'utf8').catch(() => '')))
  return files.filter((_, at) => contents[at]?.includes(text))
}

describe('a secret', () => {
  test('makes a release when it changes, is among the variables on the node of the app, and is shown as a digest', async () => {
    await register({ env: { A: '1' } })
    const { app, changed } = await set({ KEY: PLANTED, OTHER: 'x' })
    assert.deepEqual([app.task.revision, app.task.made?.by, changed], [2, 'secrets', ['KEY', 'OTHER']])
    assert.deepEqual(await envOnNode(), { A: '1', KEY: PLANTED, OTHER: 'x' })
    const { version, items } = await list()
    assert.deepEqual(
      [version, items.map(({ name, since }) => [name, since])],
      [
        1,
        [
          ['KEY', 2],
          ['OTHER', 2],
        ],
      ],
    )
    assert.match(items[0]?.digest ?? '', /^hmac-sha256:[0-9a-f]{32}$/)
  })

  test('that the node adds to requests is no variable there, and its app has to reach the host by its name', async () => {
    const wire = [{ secret: 'KEY', host: 'api.example.com' }]
    await register()
    await rejectsWith('bad-input', update({ wire }), /egress does not name.*shadow egress add/s)
    await update({ wire, egress: ['*.example.com'] })
    await set({ KEY: PLANTED, OTHER: 'x' })
    const node = await on.as('node', 'n1')
    await on.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'n1' } })
    const { task } = await node.call('getApp', { params })
    assert.deepEqual(task.env, { OTHER: 'x' })
    const usual = { header: 'Authorization', format: 'Bearer {}' }
    assert.deepEqual(task.wire, [{ ...wire[0], ...usual, value: PLANTED }])
    assert.deepEqual((await get()).task.wire, [{ ...wire[0], ...usual }])
    assert.deepEqual(await filesWith(PLANTED), [])
    // The definition can be sent back as it is shown.
    await update({ wire: (await get()).task.wire })
    await rejectsWith('bad-input', update({ wire: [{ ...wire[0], value: PLANTED }] }))
    await rejectsWith('bad-input', update({ egress: null }), /egress does not name/)
    await update({ wire: null })
    assert.equal((await get()).task.wire, undefined)
  })

  test('has its value in no answer to people, not in the store, and not in what fronts get', async () => {
    await register()
    await set({ KEY: PLANTED })
    await stage({ LATER: PLANTED })
    const answers = [
      await get(),
      await on.admin.call('listApps', {}),
      await on.admin.call('listReleases', { params }),
      await on.admin.call('getRelease', { params: { ...params, revision: 2 } }),
      await on.admin.call('diffReleases', { params }),
      await list(),
      await (await on.as('proxy')).call('getHost', { params: { hostname: 'blog.localhost' } }),
    ]
    assert.doesNotMatch(JSON.stringify(answers), new RegExp(PLANTED))
    assert.deepEqual(await filesWith(PLANTED), [])
    const route = await (await on.as('proxy')).call('getHost', { params: { hostname: 'blog.localhost' } })
    assert.deepEqual(
      Object.keys(route).filter(name => /stag|secret/i.test(name)),
      [],
    )
  })

  test('is read by the node of the app alone, and changed by admins alone', async () => {
    await register({ secrets: { KEY: PLANTED } })
    await on.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'n1' } })
    const other = await on.as('node', 'n2')
    await rejectsWith('forbidden', other.call('getApp', { params }))
    const front = await on.as('proxy')
    for (const client of [other, front]) {
      await rejectsWith('forbidden', client.call('listSecrets', { params }), /role (node|proxy) may not.*role admin/)
      await rejectsWith('forbidden', set({ KEY: 'x' }, {}, client as MasterClient))
      await rejectsWith('forbidden', client.call('discardSecrets', { params }))
    }
    assert.equal((await get()).task.revision, 1)
  })

  test('that keeps its value makes no release', async () => {
    await register()
    await set({ KEY: 'x' })
    const { app, changed } = await set({ KEY: 'x' })
    assert.deepEqual([app.task.revision, changed], [2, []])
  })

  test('keeps the release since which it has its value, over other changes, removal and return', async () => {
    await register()
    await set({ A: '1', B: '1' })
    await set({ A: '2' })
    await update({ image: 'y' })
    assert.deepEqual(await sinceOf(), { A: 3, B: 2 })
    await set({ B: null })
    await set({ B: '1' })
    assert.deepEqual(await sinceOf(), { A: 3, B: 6 })
  })

  test('comes back with the release that had it', async () => {
    await register({ env: { X: '1' } })
    await set({ KEY: 'old' })
    await set({ KEY: 'new' })
    await update({ env: { X: '2' } })
    await on.admin.call('rollbackApp', { params, body: { to: 2 } })
    assert.deepEqual(await envOnNode(), { X: '1', KEY: 'old' })
    assert.deepEqual(await sinceOf(), { KEY: 2 })
    // The next change goes on from there.
    await set({ MORE: 'x' })
    assert.deepEqual(await envOnNode(), { X: '1', KEY: 'old', MORE: 'x' })
  })

  test('cannot have the name of a variable, from either side; the error says how to make one of the other', async () => {
    await register({ env: { KEY: '1' } })
    await rejectsWith('bad-input', set({ KEY: '2' }), /KEY both.*secrets set blog KEY --stage.*--unset-env KEY/)
    await set({ OTHER: 'x' })
    await rejectsWith('bad-input', update({ env: { OTHER: 'y' } }), /OTHER both as a variable and as a secret/)
    const body = { name: 'both', image: 'x', env: { K: '1' }, secrets: { K: '1' } }
    await rejectsWith('bad-input', on.admin.call('registerApp', { body }))
    assert.equal((await get()).task.revision, 2)
    // A variable becomes a secret in one release.
    await stage({ KEY: '2' })
    await update({ env: { KEY: null } })
    assert.deepEqual([(await get()).task.revision, await envOnNode()], [3, { KEY: '2', OTHER: 'x' }])
  })

  for (const [body, says] of [
    [{ PORT: '1' }, /PORT: cannot be a secret: Shadow sets PORT/],
    [{ 'A B': '1' }, /without spaces/],
    [{ A: 'x'.repeat(64 * 1024 + 1) }, /A: is larger than 64 KiB/],
    [{ A: 'nul\0' }, /NUL/],
    [{ A: `hmac-sha256:${'0'.repeat(32)}` }, /a digest is no value/],
    [Object.fromEntries(Array.from({ length: 201 }, (_, at) => [`S${at}`, ''])), /more than 200/],
  ] as const)
    test(`is refused where ${says.source} says why, without its value`, async () => {
      await register()
      await assert.rejects(set(body as Record<string, string>), error => {
        assert.ok(isFailure(error, 'bad-input'))
        assert.match(error.message + JSON.stringify(error.details.faults), says)
        assert.doesNotMatch(error.message, /xxx|nul/)
        return true
      })
      assert.equal((await get()).task.revision, 1)
    })

  test('that is not there is not taken away where strict is asked for, and the error names all of them', async () => {
    await register({ secrets: { A: '1' } })
    await rejectsWith('not-found', set({ A: null, NOPE: null }, { strict: 'true' }), /what is to be taken away/)
    assert.deepEqual((await list()).items.length, 1)
    await set({ NOPE: null }) // RFC 7396: without `strict` it is no error, and nothing changes
    assert.equal((await get()).task.revision, 1)
  })

  test('cannot be set over a version that somebody else has changed', async () => {
    await register()
    const etag = (await on.http('GET', '/v1/apps/blog')).headers.get('etag')!
    await set({ A: '1' })
    const headers = { 'if-match': etag }
    await rejectsWith('changed', on.admin.call('changeSecrets', { params, body: { A: '2' }, headers }))
    assert.equal((await (await directory({ path })).list('secrets/blog/')).length, 1, 'the lost race left nothing')
  })
})

describe('a staged secret', () => {
  test('waits for the next release, whatever makes it, and restarts nothing before', async () => {
    await register()
    await set({ A: '1', B: '1' })
    const before = (await get()).task
    await stage({ A: '2', NEW: 'x' })
    await stage({ B: null })
    assert.deepEqual((await get()).task, before)
    assert.deepEqual(await envOnNode(), { A: '1', B: '1' })
    const { staged } = await list()
    assert.deepEqual(
      staged.map(({ name, digest }) => [name, digest !== null]),
      [
        ['A', true],
        ['B', false],
        ['NEW', true],
      ],
    )
    await update({ image: 'y' })
    assert.deepEqual(await envOnNode(), { A: '2', NEW: 'x' })
    assert.deepEqual([await sinceOf(), (await list()).staged], [{ A: 3, NEW: 3 }, []])
  })

  test('is taken by an empty change, and by a change of other secrets', async () => {
    await register()
    await stage({ A: '1' })
    assert.deepEqual((await set({})).changed, ['A'])
    await stage({ B: '1' })
    assert.deepEqual((await set({ C: '1' })).changed, ['B', 'C'])
    assert.deepEqual(await envOnNode(), { A: '1', B: '1', C: '1' })
  })

  test('is left out again where it gets the value that it has, and by discarding', async () => {
    await register({ secrets: { A: '1' } })
    await stage({ A: '2' })
    await stage({ A: '1' })
    assert.deepEqual((await list()).staged, [])
    await stage({ A: '2', B: '1' })
    assert.deepEqual((await on.admin.call('discardSecrets', { params })).discarded, ['A', 'B'])
    await update({ image: 'y' })
    assert.deepEqual(await envOnNode(), { A: '1' })
    assert.deepEqual((await on.admin.call('discardSecrets', { params })).discarded, [])
  })

  test('stays staged over a rollback, on top of what that goes back to', async () => {
    await register({ secrets: { A: '1' } })
    await set({ A: '2', B: '2' })
    await stage({ C: '3' })
    await on.admin.call('rollbackApp', { params, body: { to: 1 } })
    assert.deepEqual(await envOnNode(), { A: '1' })
    await update({ image: 'y' })
    assert.deepEqual(await envOnNode(), { A: '1', C: '3' })
  })
})

describe('the documents of secrets', () => {
  test('are encrypted anew with a new key, and the old key is needed no more', async () => {
    const [oldKey, newKey] = [newSealKey(), newSealKey()]
    const folder = await mkdtemp(join(tmpdir(), 'shadow-test-rotated-'))
    try {
      const open = async (keys: string) =>
        testMaster(await directory({ path: folder }), undefined, { SHADOW_SECRETS_KEY: keys })
      {
        await using master = await open(oldKey)
        const body = { name: 'blog', image: 'x', volume: { size: '16MiB' }, secrets: { KEY: 'old' } }
        await master.admin.call('registerApp', { body })
        await set({ KEY: PLANTED }, {}, master.admin)
        await set({ LATER: 'x' }, { stage: 'true' }, master.admin)
      }
      {
        await using _master = await open(`${newKey},${oldKey}`)
      }
      await using master = await open(newKey)
      assert.deepEqual(await envOnNode(master), { KEY: PLANTED })
      assert.equal((await master.admin.call('listSecrets', { params })).staged.length, 1)
      await master.admin.call('rollbackApp', { params, body: { to: 1 } })
      assert.deepEqual(await envOnNode(master), { KEY: 'old' })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('go with the app; a later app of its name has none of them, and later versions', async () => {
    await register({ secrets: { KEY: '1' } })
    await set({ KEY: '2' })
    await stage({ KEY: '3' })
    await on.admin.call('removeApp', { params })
    const storage = await directory({ path })
    assert.deepEqual(await storage.list('secrets/blog/'), [])
    await register()
    assert.deepEqual((await list()).items, [])
    const { app } = await set({ KEY: '4' })
    assert.equal(app.task.secretsVersion, 5)
  })

  test('of a master that dies at any write of a change leave the old secrets or the new ones, and the change can be repeated', async () => {
    await register()
    const masters = new MastersEnvironment(() => directory({ path }))
    for (let writes = 0; writes < 6; writes++) {
      const before = await envOnNode()
      const name = `S${writes}`
      await masters.dying(writes, new HandClock(), admin => set({ [name]: 'x' }, {}, admin))
      const after = await envOnNode()
      assert.ok(
        [JSON.stringify(before), JSON.stringify({ ...(before as object), [name]: 'x' })].includes(
          JSON.stringify(after),
        ),
      )
      await set({ [name]: 'x' })
      assert.deepEqual(await envOnNode(), { ...(before as object), [name]: 'x' })
    }
  })

  test('go with an export, by which the same app can be made', async () => {
    await register({ secrets: { KEY: PLANTED } })
    const definition = await on.admin.call('getDefinition', { params })
    assert.deepEqual(definition['secrets'], { KEY: PLANTED })
    await on.admin.call('removeApp', { params })
    await on.admin.call('registerApp', { body: definition as never })
    assert.deepEqual(await envOnNode(), { KEY: PLANTED })
  })

  test('that cannot be decrypted are named, and the node keeps what it has', async () => {
    await register({ secrets: { KEY: '1' } })
    const storage = await directory({ path })
    const { value, etag } = (await storage.get('secrets/blog/1.json'))!
    await storage.update('secrets/blog/1.json', { ...(value as object), sealed: 'v1.0123456789abcdef.AAAA' }, etag)
    await rejectsWith('secret-unreadable', envOnNode(), /secrets of blog, version 1 cannot be decrypted/)
    await rejectsWith('secret-unreadable', set({ OTHER: 'x' }))
  })
})
