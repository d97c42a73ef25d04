import assert from 'node:assert/strict'
import { link, mkdir, open, readdir, readFile, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { type Exec, ExecError, exec } from '../../lib/exec.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { snapshotId, volumeId } from '../../model/names.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { imageSnapshots } from './image-snapshots.ts'
import { loop } from './loop.ts'

const volume = volumeId('blog')
const monday = { volume, id: snapshotId('monday') }
const { signal } = new AbortController()
const MIB = 2 ** 20

/** A folder with the image of one volume. */
async function withImage(run: Exec = exec) {
  const folder = temporaryFolder('shadow-test-snapshots-')
  await mkdir(join(folder, 'blog'))
  const image = join(folder, 'blog/image.ext4')
  await writeFile(image, 'first')
  await truncate(image, 16 * MIB)
  const snapshots = imageSnapshots({ root: async () => folder, turns: new KeyedMutex(), exec: run })
  const files = (): Promise<string[]> => readdir(join(folder, '.snapshots/blog'))
  return { folder, image, snapshots, files }
}

test('a snapshot keeps the bytes and the holes of its moment', async () => {
  const { image, snapshots } = await withImage()
  await snapshots.take(monday, signal)
  await writeFile(image, 'later')
  const file = await snapshots.file(monday)
  assert.equal((await readFile(file)).subarray(0, 5).toString(), 'first')
  const { size, blocks } = await stat(file)
  assert.equal(size, 16 * MIB)
  assert.ok(blocks * 512 < MIB)
})

test('a caller that leaves while the image is copied takes no snapshot', async () => {
  const leaves = new AbortController()
  const { snapshots, files } = await withImage(async (...command) => {
    leaves.abort(new Error('left'))
    return exec(...command)
  })
  await assert.rejects(snapshots.take(monday, leaves.signal), /left/)
  assert.deepEqual(await files(), [])
  assert.deepEqual(await snapshots.of(volume), [])
})

test('a snapshot that finds no room is not there, and the error says so', async () => {
  const { snapshots, files } = await withImage(async (file, args) => {
    await writeFile(args.at(-1) ?? '', 'half')
    throw new ExecError(file, 1, { stdout: '', stderr: 'cp: error writing: No space left on device' }, undefined)
  })
  await assert.rejects(
    snapshots.take(monday, signal),
    error => isFailure(error, 'disk-full') && /snapshot monday of volume blog/.test(error.message),
  )
  assert.deepEqual(await files(), [])
})

test('the copy that a killed run left half-made is no snapshot, and is deleted by the next one', async () => {
  const { folder, snapshots, files } = await withImage()
  await mkdir(join(folder, '.snapshots/blog'), { recursive: true })
  await writeFile(join(folder, '.snapshots/blog/making-1'), 'half')
  assert.deepEqual(await snapshots.of(volume), [])
  await snapshots.take(monday, signal)
  assert.deepEqual(await files(), ['monday.ext4'])
})

test('a volume that is made from a snapshot has its bytes and at least its size, and stays whole if it is removed', async () => {
  const { folder, image } = await withImage()
  const driver = loop({ folder })
  await driver.snapshots?.take(monday, signal)
  await driver.remove(volume)
  const noFormat = (): Promise<void> => assert.fail('it was formatted')
  await driver.create(volume, MIB, noFormat, signal, { from: monday })
  await driver.snapshots?.remove(monday)
  assert.equal((await readFile(image)).subarray(0, 5).toString(), 'first')
  assert.equal((await stat(image)).size, 16 * MIB)
  const from = { volume, id: snapshotId('tuesday') }
  await driver.snapshots?.take(from, signal)
  const larger = volumeId('larger')
  await driver.create(larger, 32 * MIB, noFormat, signal, { from })
  assert.equal((await stat(join(folder, 'larger/image.ext4'))).size, 32 * MIB)
})

/** A program runner for a filesystem without reflinks. */
const withoutReflinks: Exec = async (file, args, options) => {
  if (args.includes('--reflink=always'))
    throw new ExecError(file, 1, { stdout: '', stderr: 'cp: failed to clone: Operation not supported' }, undefined)
  return exec(file, args, options)
}

test('what was written while a snapshot was prepared is in it, and what is written later is not', async () => {
  const { image, snapshots, files } = await withImage(withoutReflinks)
  await using prepared = await snapshots.prepare(monday, signal)
  assert.ok(prepared !== undefined)
  assert.deepEqual(await snapshots.of(volume), [])
  await patch(image, 8 * MIB, 'meanwhile')
  await snapshots.take(monday, signal, prepared)
  await patch(image, 8 * MIB, 'later....')
  const bytes = await readFile(await snapshots.file(monday))
  assert.equal(bytes.subarray(0, 5).toString(), 'first')
  assert.equal(bytes.subarray(8 * MIB, 8 * MIB + 9).toString(), 'meanwhile')
  assert.equal(bytes.length, 16 * MIB)
  await prepared[Symbol.asyncDispose]()
  assert.deepEqual(await files(), ['monday.ext4'])
})

test('an image that nobody writes to is read once', async () => {
  const { image, snapshots } = await withImage(withoutReflinks)
  const longAgo = new Date(Date.now() - 60_000)
  await utimes(image, longAgo, longAgo)
  await using prepared = await snapshots.prepare(monday, signal)
  // Bytes that change behind the times of the file show that it was not read again.
  await patch(image, 8 * MIB, 'unseen')
  await utimes(image, longAgo, longAgo)
  await snapshots.take(monday, signal, prepared)
  const bytes = await readFile(await snapshots.file(monday))
  assert.ok(bytes.subarray(8 * MIB, 8 * MIB + 6).equals(Buffer.alloc(6)))
})

test('a copy that would leave too little of the disk is refused before it begins, with the figures', async () => {
  const { folder, snapshots, files } = await withImage(withoutReflinks)
  const full = imageSnapshots({
    root: async () => folder,
    turns: new KeyedMutex(),
    exec: withoutReflinks,
    floorBytes: Number.MAX_SAFE_INTEGER,
  })
  await assert.rejects(
    full.prepare(monday, signal),
    error => isFailure(error, 'disk-full') && /are needed, and 0B are free|are needed, and 0 /.test(error.message),
  )
  assert.deepEqual(await files(), [])
  await snapshots.take(monday, signal)
  await assert.rejects(
    full.replacements.copyOf(monday, signal),
    error => isFailure(error, 'disk-full') && /as it was/.test(error.message),
  )
  assert.deepEqual(await readdir(join(folder, 'blog')), ['image.ext4'])
})

test('of an image that was written long before its last pass began, nothing is left to copy; otherwise a pass is', async () => {
  const { image, snapshots } = await withImage(withoutReflinks)
  const longAgo = new Date(Date.now() - 60_000)
  await utimes(image, longAgo, longAgo)
  await using prepared = await snapshots.prepare(monday, signal)
  assert.equal(await prepared?.rest(), 0)
  await patch(image, MIB, 'written')
  assert.ok(((await prepared?.rest()) ?? 0) > 0)
})

test('where files share blocks, nothing is copied beforehand', async () => {
  const { snapshots, files } = await withImage(async (file, args, options) =>
    exec(
      file,
      args.map(arg => (arg === '--reflink=always' ? '--reflink=auto' : arg)),
      options,
    ),
  )
  assert.equal(await snapshots.prepare(monday, signal), undefined)
  assert.deepEqual(await files(), [])
})

test('a preparation that is left, or finds no room, leaves nothing', async () => {
  const { snapshots, files } = await withImage(withoutReflinks)
  await assert.rejects(snapshots.prepare(monday, AbortSignal.abort(new Error('left'))), /left/)
  assert.deepEqual(await files(), [])
  const prepared = await snapshots.prepare(monday, signal)
  await prepared?.[Symbol.asyncDispose]()
  assert.deepEqual(await files(), [])
})

test('a take whose time is over leaves no snapshot, also of what was prepared', async () => {
  const { image, snapshots, files } = await withImage(withoutReflinks)
  await using prepared = await snapshots.prepare(monday, signal)
  await patch(image, 0, 'changed')
  await assert.rejects(snapshots.take(monday, AbortSignal.abort(new Error('too late')), prepared), /too late/)
  await prepared?.[Symbol.asyncDispose]()
  assert.deepEqual([await snapshots.of(volume), await files()], [[], []])
})

test('what killed runs were copying is removed by the next copy, but not what is being copied now', async () => {
  const { folder, snapshots, files } = await withImage(withoutReflinks)
  await mkdir(join(folder, '.snapshots/blog'), { recursive: true })
  await writeFile(join(folder, '.snapshots/blog/copying-1'), 'half')
  await using one = await snapshots.prepare(monday, signal)
  assert.ok(!(await files()).includes('copying-1'))
  await using other = await snapshots.prepare({ volume, id: snapshotId('tuesday') }, signal)
  assert.equal((await files()).length, 2)
  await snapshots.take(monday, signal, one)
  assert.ok(other !== undefined)
  await one?.[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await writeFile(join(folder, '.snapshots/blog/copying-2'), 'half')
  await snapshots.remove(monday)
  assert.deepEqual(await files(), [], 'also by the removal of a snapshot, such as the last one of a volume that goes')
})

test('a volume gets the bytes of a snapshot by one step, and its old ones become a snapshot', async () => {
  const { folder, image, snapshots } = await withImage(withoutReflinks)
  await snapshots.take(monday, signal)
  await patch(image, 0, 'later')
  await using replacement = await snapshots.replacements.copyOf(monday, signal)
  const before = snapshotId('before')
  await replacement.swap(before)
  assert.equal((await readFile(image)).subarray(0, 5).toString(), 'first')
  assert.deepEqual((await snapshots.of(volume)).toSorted(), ['before', 'monday'])
  await patch(image, 0, 'again')
  const bytes = async (id: string) => (await readFile(join(folder, `.snapshots/blog/${id}.ext4`))).subarray(0, 5)
  assert.deepEqual([String(await bytes('before')), String(await bytes('monday'))], ['later', 'first'])
  await replacement[Symbol.asyncDispose]()
  assert.deepEqual(await readdir(join(folder, 'blog')), ['image.ext4'])
})

test('a run that was killed between the two names has changed nothing, and shows no snapshot', async () => {
  const { folder, image, snapshots } = await withImage()
  await snapshots.take(monday, signal)
  await link(image, join(folder, '.snapshots/blog/before.ext4'))
  await mkdir(join(folder, 'blog/restoring-here.1'))
  await mkdir(join(folder, 'blog/restoring-other.1'))
  assert.deepEqual(await snapshots.of(volume), ['monday'])
  await snapshots.remove({ volume, id: snapshotId('before') })
  assert.equal((await readFile(image)).subarray(0, 5).toString(), 'first')
  const replacement = await snapshots.replacements.copyOf(monday, signal)
  await replacement[Symbol.asyncDispose]()
  const left = await readdir(join(folder, 'blog'))
  assert.deepEqual(left.sort(), ['image.ext4', 'restoring-other.1'], 'that of another node of a pool stays')
})

async function patch(image: string, at: number, text: string): Promise<void> {
  await using file = await open(image, 'r+')
  await file.write(Buffer.from(text), 0, undefined, at)
}
