import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { renameSync, rmSync } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import { type AppName, appName, type VolumeId, volumeId } from '../model/names.ts'
import { type BackupWorld, backupWorld } from './backup-world.ts'
import { resticHere } from './restic.ts'

const run = promisify(execFile)
const restic = resticHere()
const never = new AbortController().signal
const RESTORE = { undo: false, dryRun: false, by: 'anna' }

let world: BackupWorld
let blog: AppName

async function scribble(app: AppName, at: number, bytes: Buffer): Promise<void> {
  await using file = await open(world.image(app), 'r+')
  await file.write(bytes, 0, bytes.length, at)
}

const digest = async (app: AppName): Promise<string> =>
  createHash('sha256')
    .update(await readFile(world.image(app)))
    .digest('hex')

const fails = (call: Promise<unknown>, code: FailureCode, how = /./) =>
  assert.rejects(call, error => {
    assert.ok(isFailure(error, code), String(error))
    assert.match(error.message, how)
    return true
  })

const beside = (app: AppName) => readdir(dirname(world.image(app)))
const repository = (volume: string) => join(world.store, 'backups', volume)

/** restic without Shadow, on the files of the store. */
async function resticAlone(app: AppName, ...args: string[]): Promise<string> {
  const { password, repository } = await world.backups.keyOf(app)
  const env = { ...process.env, RESTIC_REPOSITORY: repository, RESTIC_PASSWORD: password }
  return (await run(restic!, ['--no-cache', ...args], { env })).stdout
}

describe.skipIf(restic === undefined)('backups, from a node with restic to the store', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    world = await backupWorld(restic!)
    for (const name of ['blog', 'other']) {
      const app = await world.app(name)
      await scribble(app, 20 * 2 ** 20, randomBytes(3 * 2 ** 20))
      await world.backups.backUp(app, 'asked', never)
    }
    blog = appName('blog')
  }, 60_000)
  afterAll(() => world?.[Symbol.asyncDispose]())
  // restic takes half a second to open a repository: one is made, and each test begins with it and its image as they were then.
  beforeEach(() => world.keep('blog'))
  afterEach(async () => {
    world.onNode = () => undefined
    await world.bringBack('blog')
  })

  test('a volume is backed up, and restored byte for byte with its holes; restic finds no fault in what is served and stored', async () => {
    const before = await digest(blog)
    const [backup] = (await world.backups.list(blog)).items
    assert.ok(backup)
    assert.ok(backup.addedBytes > 3 * 2 ** 20 && backup.addedBytes < 4 * 2 ** 20, String(backup.addedBytes))
    await scribble(blog, 20 * 2 ** 20, randomBytes(2 ** 20))
    const done = await world.backups.restore(blog, RESTORE, never)
    assert.equal(done.backup?.id, backup.id)
    assert.equal(await digest(blog), before)
    const { blocks } = await stat(world.image(blog))
    assert.ok(blocks * 512 < 8 * 2 ** 20, `${blocks * 512} bytes on disk`)
    assert.deepEqual(await beside(blog), ['image.ext4'])

    const token = await world.master.master.token('admin')
    const { password } = await world.backups.keyOf(blog)
    const url = `rest:${world.master.master.url.replace('//', `//admin:${token}@`)}/v1/repositories/blog/`
    const env = { ...process.env, RESTIC_REPOSITORY: url, RESTIC_PASSWORD: password }
    await run(restic!, ['--no-cache', 'check', '--read-data'], { env })
    await resticAlone(blog, 'check', '--read-data')
    assert.match(await resticAlone(blog, 'ls', 'latest'), /image\.ext4/)
    assert.match(world.journal.join('\n'), /backup \w{8} made in .*added(?:.|\n)*backup \w{8} restored in/)
  })

  test('a second backup stores what has changed', async () => {
    await scribble(blog, 4 * 2 ** 20, randomBytes(100_000))
    const { addedBytes } = await world.backups.backUp(blog, 'asked', never)
    assert.ok(addedBytes >= 100_000 && addedBytes < 2 ** 20, String(addedBytes))
    assert.equal((await world.backups.list(blog)).items.length, 2)
  })

  test('a restore is undone, and the undo too', async () => {
    const backedUp = await digest(blog)
    await scribble(blog, 2 ** 20, Buffer.from('written later'))
    const later = await digest(blog)
    await fails(world.backups.restore(blog, { ...RESTORE, undo: true }, never), 'not-found', /nothing is kept/)
    await world.backups.restore(blog, RESTORE, never)
    await world.backups.restore(blog, { ...RESTORE, undo: true }, never)
    assert.equal(await digest(blog), later)
    await world.backups.restore(blog, { ...RESTORE, undo: true }, never)
    assert.equal(await digest(blog), backedUp)
  })

  test('a dry run changes nothing', async () => {
    await scribble(blog, 2 ** 20, Buffer.from('written later'))
    const before = await digest(blog)
    const { backup } = await world.backups.restore(blog, { ...RESTORE, dryRun: true }, never)
    assert.ok(backup)
    assert.equal(await digest(blog), before)
    assert.deepEqual(await beside(blog), ['image.ext4'])
  })

  test('a backup is restored to another app', async () => {
    const copy = await world.app('copy')
    const { app } = await world.backups.restore(blog, { ...RESTORE, to: copy }, never)
    assert.equal(app, copy)
    assert.equal(await digest(copy), await digest(blog))
  })

  test('a test of the newest backup restores it to a file, and removes that; it is kept when it was', async () => {
    const [backup] = (await world.backups.list(blog)).items
    const tested = await world.backups.verify(blog, never)
    assert.equal(tested.backup.id, backup?.id)
    assert.equal((await world.backups.list(blog)).verified?.backup, backup?.id)
    assert.deepEqual(await beside(blog), ['image.ext4'])
  })

  test('a backup that is not what was backed up is found by the test, and is not restored', async () => {
    const change = { digest: '0'.repeat(64) }
    await world.records.change(volumeId(blog), now => ({
      ...now,
      backups: now.backups.map(one => ({ ...one, ...change })),
    }))
    const before = await digest(blog)
    await fails(world.backups.verify(blog, never), 'backup-damaged', /differs from what was backed up/)
    await fails(world.backups.restore(blog, RESTORE, never), 'backup-damaged')
    assert.equal(await digest(blog), before)
    const { failure, verified } = await world.backups.list(blog)
    assert.deepEqual([failure?.kind, failure?.problem.code, verified], ['verify', 'backup-damaged', null])
    assert.deepEqual(await beside(blog), ['image.ext4'])
  })

  test('a filesystem that was damaged before it was backed up is found by the test', async () => {
    await scribble(blog, 0, Buffer.alloc(512 * 1024))
    await world.backups.backUp(blog, 'asked', never)
    await fails(world.backups.verify(blog, never), 'backup-damaged', /filesystem cannot be repaired/)
  })

  test('a damaged file of the repository is found', async () => {
    for await (const { name, bytes } of world.files.list(volumeId(blog), 'data'))
      await truncate(join(repository(blog), 'data', name.slice(0, 2), name), Math.floor(bytes / 2))
    await fails(world.backups.verify(blog, never), 'backup-failed')
    await fails(world.backups.restore(blog, RESTORE, never), 'backup-failed')
  })

  test('with a wrong key the error says so, and nothing is changed', async () => {
    await rm(repository(blog), { recursive: true })
    await run('cp', ['-r', repository('other'), repository(blog)])
    const before = await digest(blog)
    await fails(world.backups.restore(blog, RESTORE, never), 'secret-unreadable', /key/)
    await fails(world.backups.backUp(blog, 'asked', never), 'secret-unreadable', /key/)
    assert.equal(await digest(blog), before)
  })

  test('one backup is deleted, or all with the key', async () => {
    const first = (await world.backups.list(blog)).items[0]!
    const second = await world.backups.backUp(blog, 'asked', never)
    await world.backups.remove(blog, first.id, never)
    assert.deepEqual(
      (await world.backups.list(blog)).items.map(({ id }) => id),
      [second.id],
    )
    await fails(world.backups.restore(blog, { ...RESTORE, backup: first.id }, never), 'not-found')
    await world.backups.removeAll(blog, never)
    await fails(world.backups.list(blog), 'not-found', /no backups of blog/)
    assert.deepEqual(await Array.fromAsync(world.files.list(volumeId(blog), 'data')), [])
  })

  test('old backups are pruned by the rules of the policy, and those that were asked for are kept', async () => {
    const keep = { daily: 2 }
    await world.backups.setPolicy(blog, { beforeDeploy: false, keep })
    const [asked] = (await world.backups.list(blog)).items
    const made: string[] = []
    for (let day = 0; day < 4; day++) {
      await world.clock.advance(86_400_000)
      await scribble(blog, 6 * 2 ** 20, randomBytes(2 ** 20))
      made.push((await world.backups.backUp(blog, 'scheduled', never)).id)
    }
    // A master that was killed has not heard of the last one.
    await world.records.change(volumeId(blog), now => ({ ...now, backups: now.backups.slice(1) }))
    const { removed, freedBytes } = await world.backups.prune(blog, never)
    assert.equal(removed, 2)
    assert.ok(freedBytes > 2 ** 20, String(freedBytes))
    const { items } = await world.backups.list(blog)
    assert.deepEqual(
      items.map(({ id, why }) => [id, why]),
      [
        [made[3], 'scheduled'],
        [made[2], 'scheduled'],
        [asked?.id, 'asked'],
      ],
    )
    await resticAlone(blog, 'check', '--read-data')
    await world.backups.restore(blog, RESTORE, never)
    assert.match(world.journal.join('\n'), /2 old backups removed/)
    await world.backups.setPolicy(blog, { beforeDeploy: false, keep: {} })
    await fails(world.backups.prune(blog, never), 'bad-input', /no rule says/)
  })

  test('an app is backed up before it changes if its policy says so, and does not change if that fails', async () => {
    const app = { name: blog, task: { volume: { id: volumeId(blog) } } } as never
    await world.backups.beforeDeploy(app, never)
    assert.equal((await world.backups.list(blog)).items.length, 1)
    await world.backups.setPolicy(blog, { beforeDeploy: true, keep: {} })
    await world.backups.beforeDeploy(app, never)
    assert.equal((await world.backups.list(blog)).items[0]?.why, 'deploy')
    world.onNode = () => Promise.reject(new ShadowError('storage-unreachable', 'the bucket refuses us'))
    await fails(world.backups.beforeDeploy(app, never), 'backup-failed', /blog was not changed.*the bucket refuses us/)
    world.onNode = () => Promise.reject(new ShadowError('not-found', 'no data yet'))
    await world.backups.beforeDeploy(app, never)
  })

  test('a second master starts no run while one is under way, and a restore calls off what a schedule has begun', async () => {
    const begun = Promise.withResolvers<void>()
    const going = Promise.withResolvers<void>()
    world.onNode = name => {
      if (name !== 'verifyBackup') return
      begun.resolve()
      return going.promise
    }
    const testing = world.backups.verify(blog, never)
    const failed = fails(testing, 'changed', /called off/)
    await begun.promise
    await fails(world.other().backUp(blog, 'asked', never), 'volume-in-use', /restored for a test on n1/)
    await world.other().restore(blog, RESTORE, never)
    going.resolve()
    await failed
  })

  test('the run of a master that was killed ends by itself, and then another one may begin', async () => {
    const until = new Date(world.clock.wall() + 60_000).toISOString()
    const run = { id: 'x', kind: 'backup', node: 'n1' as never, since: until, until } as const
    await world.records.change(volumeId(blog), now => ({ ...now, run }))
    await fails(world.backups.backUp(blog, 'asked', never), 'volume-in-use')
    await world.clock.advance(60_001)
    assert.equal((await world.backups.list(blog)).run, null)
    await world.backups.backUp(blog, 'asked', never)
  })

  test('a repository that a killed run has not made to its end is made anew', async () => {
    const volume = volumeId(blog)
    await rm(join(repository(blog), 'config'))
    await world.backups.backUp(blog, 'asked', never)
    assert.equal((await Array.fromAsync(world.files.list(volume, 'keys'))).length, 1)
  })

  test('what a killed run has left is cleared', async () => {
    const volume: VolumeId = volumeId(blog)
    await put(volume, 'locks', Buffer.from('of a killed backup'))
    await writeFile(join(dirname(world.image(blog)), 'not-ours'), '')
    await run('mkdir', [join(dirname(world.image(blog)), 'restoring-here.of-a-killed-run')])
    await world.backups.verify(blog, never)
    assert.deepEqual(await Array.fromAsync(world.files.list(volume, 'locks')), [])
    assert.deepEqual((await beside(blog)).sort(), ['image.ext4', 'not-ours'])
  })

  test('restic that is killed is told of, and the next backup is made', async () => {
    await scribble(blog, 4 * 2 ** 20, randomBytes(8 * 2 ** 20))
    const killed = killWhen(() => world.master.http('GET', '/v1/health'))
    await fails(world.backups.backUp(blog, 'asked', never), 'backup-failed', /a signal|exit code/)
    await killed
    assert.equal((await world.backups.list(blog)).failure?.problem.code, 'backup-failed')
    await world.backups.backUp(blog, 'asked', never)
    await resticAlone(blog, 'check', '--read-data')
    assert.equal((await world.backups.list(blog)).failure, null)
  })

  test('a store that refuses is waited for a minute, and then the error says so; the backups before are whole', async () => {
    await scribble(blog, 4 * 2 ** 20, randomBytes(2 ** 20))
    using refused = await refuse('blog')
    const failed = fails(world.backups.backUp(blog, 'asked', never), 'storage-unreachable', /cannot be used/)
    await refused.until
    const passing = setInterval(() => void world.clock.advance(20_000), 100)
    await failed.finally(() => clearInterval(passing))
    refused[Symbol.dispose]()
    await world.backups.restore(blog, RESTORE, never)
  })

  test('a store that is away for some seconds delays a backup', async () => {
    await scribble(blog, 4 * 2 ** 20, randomBytes(2 ** 20))
    using refused = await refuse('blog')
    const made = world.backups.backUp(blog, 'asked', never)
    await refused.until
    refused[Symbol.dispose]()
    await made
    await resticAlone(blog, 'check', '--read-data')
  })

  test('a node that starts again removes what it had half-restored', async () => {
    await run('mkdir', ['-p', join(dirname(world.image(blog)), 'restoring-here.x/part')])
    await world.recover()
    assert.deepEqual(await beside(blog), ['image.ext4'])
  })

  test('who leaves ends restic, and the next backup is made', async () => {
    const leaving = new AbortController()
    world.onNode = () => void setImmediate(() => leaving.abort(new Error('left')))
    await assert.rejects(world.backups.backUp(blog, 'asked', leaving.signal), /left/)
    world.onNode = () => undefined
    await world.backups.backUp(blog, 'asked', never)
    await resticAlone(blog, 'check', '--read-data')
  })
})

async function put(volume: VolumeId, type: 'keys' | 'locks', content: Buffer): Promise<void> {
  const name = createHash('sha256').update(content).digest('hex') as never
  await world.files.put({ volume, type, name }, content.length, [content] as never, never)
}

/** Kills the restic of this process once it has reached the master. */
async function killWhen(reached: () => Promise<unknown>): Promise<void> {
  for (;;) {
    await reached()
    const { stdout } = await run('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)])
    const line = stdout.split('\n').find(one => one.includes(' backup --stdin'))
    if (line === undefined) continue
    process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL')
    return
  }
}

/** Lets the store refuse new data of the repository until it is disposed of; `until`: a file was refused. */
async function refuse(name: string) {
  const data = join(repository(name), 'data')
  await rename(data, `${data}-away`)
  await writeFile(data, '')
  const until = world.refusals()
  let isOver = false
  return {
    until,
    [Symbol.dispose]() {
      if (isOver) return
      isOver = true
      rmSync(data, { recursive: true, force: true })
      renameSync(`${data}-away`, data)
    },
  }
}
