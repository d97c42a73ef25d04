import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { resticHere } from '../../src/testing/restic.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { patiently } from '../tools/patiently.ts'
import { register, until } from '../tools/shadow.ts'

const restic = resticHere()
const params = { app: 'blog' }
const volume = { volume: 'blog' }
const patient = () => ({ signal: AbortSignal.timeout(600_000) })

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster
beforeAll(async () => {
  built = await installed()
  const settings = { a: { SHADOW_RESTIC: restic ?? 'restic' } }
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a'], fronts: ['x'], joined: true, settings })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built?.[Symbol.asyncDispose]()
})

async function put(name: string, body: Buffer | string): Promise<void> {
  const { status, text } = await cluster.at('x').ask('blog', `/files/${name}`, { method: 'PUT', body })
  assert.equal(status, 200, text)
}
const read = async (name: string) => (await cluster.at('x').ask('blog', `/files/${name}`)).text
const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])
const beside = () => namesIn(`${cluster.data}/a/volumes/blog`)
const snapshotsOnDisk = () => namesIn(`${cluster.data}/a/volumes/.snapshots/blog`)
const backups = () => cluster.admin.call('listBackups', { params })
const snapshots = async () => (await cluster.admin.call('listSnapshots', { params: volume, ...patient() })).items

/** Kills the node when the work has come so far; the call about it fails with an error that says what happened. */
async function killedAt(work: Promise<unknown>, isSoFar: () => Promise<boolean>): Promise<void> {
  let ended: unknown
  const end = work.then(
    () => {
      ended = 'it ended well'
    },
    error => {
      ended = error
    },
  )
  await patiently(async () => (await isSoFar()) || ended !== undefined)
  assert.equal(ended, undefined, String(ended))
  await cluster.node('a').end('SIGKILL')
  await end
  assert.match(String(ended), /node-unreachable|backup-failed|not known|does not answer|nothing was changed/i)
  await cluster.node('a').start()
  await until(async () => {
    const { items } = await cluster.admin.call('listNodes', {})
    return items.every(({ state }) => state === 'healthy') || undefined
  })
}

/** Makes the call again until what was left by the killed run does not stand in its way any more. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await call()
    } catch (error) {
      if (n > 300 || !/volume-in-use|in-use|busy|being/.test(String(error))) throw error
      await new Promise(resolve => setTimeout(resolve, 250))
    }
  }
}

async function check(): Promise<void> {
  const { password, repository } = await cluster.admin.call('getBackupKey', { params })
  const env = { ...process.env, RESTIC_PASSWORD: password, RESTIC_REPOSITORY: repository }
  await promisify(execFile)(restic!, ['--no-cache', 'check', '--read-data'], { env })
}

describe.skipIf(restic === undefined)('a node that is killed (SIGKILL)', { timeout: 600_000 }, () => {
  test('half-way in a backup leaves no half backup: the next one is made, and restic finds no fault', async () => {
    await register(cluster.admin, 'blog', { volume: { size: '256MiB' } })
    await put('page', 'first')
    await put('large', randomBytes(60_000_000))
    const store = `${cluster.data}/master/store/backups/blog/data`
    const isSending = async (): Promise<boolean> => (await namesIn(store)).length > 0
    await killedAt(cluster.admin.call('backUpApp', { params, ...patient() }), isSending)
    assert.equal(await read('page'), 'first')
    assert.deepEqual((await backups()).items, [])
    const { backup } = await again(() => cluster.admin.call('backUpApp', { params, ...patient() }))
    assert.deepEqual(
      (await backups()).items.map(({ id }) => id),
      [backup.id],
    )
    assert.equal((await backups()).failure, null)
    await check()
  })

  test('half-way in a restore leaves the volume as it was, and the restore is made then', async () => {
    await put('page', 'second')
    const isBringing = async (): Promise<boolean> => (await beside()).some(name => name.startsWith('restoring-'))
    const restore = () => cluster.admin.call('restoreApp', { params, body: {}, ...patient() })
    await killedAt(restore(), isBringing)
    assert.equal(await read('page'), 'second')
    await until(async () => !(await beside()).some(name => name.startsWith('restoring-')) || undefined)
    assert.equal((await backups()).failure, null, 'the backups themselves do not fail')
    await again(restore)
    assert.equal(await read('page'), 'first')
    await again(() => cluster.admin.call('restoreApp', { params, body: { undo: true }, ...patient() }))
    assert.equal(await read('page'), 'second')
    await check()
  })

  test('half-way in a snapshot leaves none, and the next one is whole', async () => {
    const kept = (await snapshots()).map(({ id }) => id)
    const isCopying = async (): Promise<boolean> => (await snapshotsOnDisk()).some(name => name.startsWith('copying-'))
    const take = (name: string) => cluster.admin.call('takeSnapshot', { params: volume, body: { name }, ...patient() })
    await killedAt(take('monday'), isCopying)
    assert.equal(await read('page'), 'second', 'its filesystem is not frozen')
    await again(() => take('tuesday'))
    assert.deepEqual(new Set((await snapshots()).map(({ id }) => id)), new Set(['tuesday', ...kept]))
    assert.deepEqual(
      new Set(await snapshotsOnDisk()),
      new Set(['tuesday', ...kept].map(id => `${id}.ext4`)),
      'what was half-made is gone',
    )
    await put('page', 'third')
    await cluster.admin.call('restoreVolume', { params: volume, body: { snapshot: 'tuesday' }, ...patient() })
    assert.equal(await read('page'), 'second')
  })
})
