import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { afterEach, beforeEach, test } from 'vitest'
import { exec } from '../../src/lib/exec.ts'
import { nodeName, volumeId } from '../../src/model/names.ts'
import type { BlockDriver, Device } from '../../src/nodeproxy/volumes/block-driver.ts'
import { pool } from '../../src/nodeproxy/volumes/pool.ts'
import { isCode } from '../tools/shadow.ts'

const blog = volumeId('blog')
const signal = new AbortController().signal
let folder: string
let a: BlockDriver
let b: BlockDriver

beforeEach(async () => {
  folder = await mkdtemp('/tmp/shadow-pool-')
  ;[a, b] = [aNode('a'), aNode('b')]
  await a.create(blog, 16 * 2 ** 20, async () => undefined, signal)
})
afterEach(async () => {
  for (const driver of [a, b]) for (const { volume } of await driver.attached()) await driver.detach(volume)
  await rm(folder, { recursive: true, force: true })
})

const aNode = (name: string): BlockDriver => pool({ folder, node: nodeName(name) })
const files = async (): Promise<string[]> => (await readdir(`${folder}/blog`)).sort()
const inode = async (): Promise<number> => (await stat(`${folder}/blog/image.ext4`)).ino

async function write(device: Device, text: string): Promise<void> {
  await using file = await open(device, 'r+')
  await file.write(Buffer.alloc(4096, text), 0, 4096, 0)
  await file.sync()
}

async function read(device: Device): Promise<string> {
  await using file = await open(device, 'r')
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
  return buffer.toString('latin1').slice(0, 5)
}

test('what one node wrote and detached, the next one reads, in the same file', async () => {
  const before = await inode()
  await write(await a.attach(blog, signal), 'by-a.')
  assert.deepEqual(await files(), ['at-a.ext4', 'image.ext4'])
  await a.detach(blog)
  assert.deepEqual(await files(), ['image.ext4'])
  assert.equal(await read(await b.attach(blog, signal)), 'by-a.')
  assert.equal(await inode(), before)
})

test('each node knows its own devices alone, although all see one folder', async () => {
  const device = await a.attach(blog, signal)
  assert.deepEqual(await a.attached(), [{ volume: blog, device }])
  assert.deepEqual(await b.attached(), [])
  await b.detach(blog)
  assert.deepEqual(await aNode('a').attached(), [{ volume: blog, device }])
})

test('a node that takes over from one that has not detached gets all bytes, and what that one writes later it never sees', async () => {
  const old = await a.attach(blog, signal)
  await write(old, 'by-a.')
  const device = await b.attach(blog, signal)
  assert.notEqual(device, old)
  assert.equal(await read(device), 'by-a.')
  assert.deepEqual(await files(), ['at-b.ext4', 'image.ext4'])
  await write(device, 'by-b.')
  await write(old, 'late.')
  await exec('blockdev', ['--flushbufs', old])
  await exec('blockdev', ['--flushbufs', device])
  assert.equal(await read(device), 'by-b.')
  await b.detach(blog)
  assert.equal(await read(await b.attach(blog, signal)), 'by-b.')
})

test('a node whose volume was taken over cannot attach it before it has detached the replaced file, and then gets the new one', async () => {
  await a.attach(blog, signal)
  await write(await b.attach(blog, signal), 'by-b.')
  await b.detach(blog)
  await assert.rejects(a.attach(blog, signal), isCode('volume-in-use', /taken volume blog over/))
  await a.detach(blog)
  assert.equal(await read(await a.attach(blog, signal)), 'by-b.')
})

test('a node that crashed and comes back before another took over goes on with the same file', async () => {
  const before = await inode()
  const device = await a.attach(blog, signal)
  assert.equal(await aNode('a').attach(blog, signal), device)
  assert.equal(await inode(), before)
})

test('a take-over whose lease is lost while it copies changes nothing', async () => {
  await write(await a.attach(blog, signal), 'by-a.')
  const before = await inode()
  const lost = new AbortController()
  lost.abort(new Error('lease lost'))
  await assert.rejects(b.attach(blog, lost.signal), /lease lost/)
  assert.equal(await inode(), before)
})

test('an image is as sparse after a take-over as before', async () => {
  await a.attach(blog, signal)
  await b.attach(blog, signal)
  const { size, blocks } = await stat(`${folder}/blog/image.ext4`)
  assert.equal(size, 16 * 2 ** 20)
  assert.ok(blocks * 512 < 2 ** 20)
})
