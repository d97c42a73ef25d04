import assert from 'node:assert/strict'
import { open as openFile } from 'node:fs/promises'
import { describe, type TestContext, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { snapshotId, volumeId } from '../model/names.ts'
import { sizeOf } from '../nodeproxy/filesystem/device-size.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'
import type { Snapshots } from '../nodeproxy/volumes/snapshots.ts'

/** A driver over storage of its own. Disposing of it detaches and removes what the test left. */
type Opened = AsyncDisposable & { readonly driver: BlockDriver }

type Options = {
  /** The reason why this driver is skipped. */
  readonly skip?: string | false | undefined
  /** Whether its devices can be read and written; false for a fake. */
  readonly hasBytes?: boolean
  /** The smallest size of a volume; for cloud volumes it is a GiB or more. */
  readonly leastBytes?: number
}

const MIB = 2 ** 20
const signal = new AbortController().signal

/** What every block driver must do. Each call of `open` gives a driver over storage without volumes. */
export function describeBlockDriver(
  name: string,
  open: () => Promise<Opened>,
  { skip = false, hasBytes = true, leastBytes = 16 * MIB }: Options = {},
): void {
  const title = `block driver ${name}${skip === false ? '' : ` (skipped: ${skip})`}`
  describe.skipIf(skip !== false)(title, { timeout: 120_000 }, () => {
    const blog = volumeId('contract-blog')
    const copy = volumeId('contract-copy')
    const size = leastBytes
    const nothing = async (): Promise<void> => undefined

    test('a volume is formatted once, when it is made', async () => {
      await using opened = await open()
      let formats = 0
      const format = async (): Promise<void> => void formats++
      await opened.driver.create(blog, size, format, signal)
      await opened.driver.create(blog, size, format, signal)
      await opened.driver.create(blog, 2 * size, format, signal)
      assert.equal(formats, 1)
    })

    test('a volume whose formatting failed does not exist, and the next create begins again', async () => {
      await using opened = await open()
      const { driver } = opened
      const failing = driver.create(blog, size, () => Promise.reject(new Error('cut short')), signal)
      await assert.rejects(failing, /cut short/)
      await fails('not-found', driver.attach(blog, signal))
      await driver.create(blog, size, nothing, signal)
      await driver.attach(blog, signal)
    })

    test('a volume that was never made is neither attached nor grown', async () => {
      await using opened = await open()
      await fails('not-found', opened.driver.attach(blog, signal))
      await fails('not-found', opened.driver.grow(blog, size, signal))
      assert.deepEqual(await opened.driver.attached(), [])
    })

    test('attach and detach may be repeated, and attached tells of each volume once', async () => {
      await using opened = await open()
      const { driver } = opened
      await driver.create(blog, size, nothing, signal)
      const device = await driver.attach(blog, signal)
      assert.equal(await driver.attach(blog, signal), device)
      assert.deepEqual(await driver.attached(), [{ volume: blog, device }])
      await driver.detach(blog)
      await driver.detach(blog)
      assert.deepEqual(await driver.attached(), [])
    })

    test('a volume is grown and never made smaller', async () => {
      await using opened = await open()
      const { driver } = opened
      await driver.create(blog, size, nothing, signal)
      await driver.grow(blog, 2 * size, signal)
      await driver.grow(blog, 2 * size, signal)
      await fails('bad-input', driver.grow(blog, size, signal))
      await driver.attach(blog, signal)
    })

    test('an attached volume is grown while it is used, where the driver can do that', async context => {
      await using opened = await open()
      const { driver } = opened
      if (driver.growAttached === undefined) return context.skip('the driver detaches a volume to grow it')
      await driver.create(blog, size, nothing, signal)
      await fails('not-found', driver.growAttached(copy, size, signal))
      const device = await driver.attach(blog, signal)
      await using used = hasBytes ? await openFile(device, 'r+') : undefined
      assert.equal(await driver.growAttached(blog, 2 * size, signal), device)
      assert.equal(await driver.growAttached(blog, 2 * size, signal), device)
      await fails('bad-input', driver.growAttached(blog, size, signal))
      if (used !== undefined) assert.equal(await sizeOf(device), 2 * size)
    })

    test('an attached volume is not removed; a detached one is, with its bytes', async () => {
      await using opened = await open()
      const { driver } = opened
      await driver.create(blog, size, nothing, signal)
      await driver.attach(blog, signal)
      await fails('volume-in-use', driver.remove(blog))
      await driver.detach(blog)
      await driver.remove(blog)
      await driver.remove(blog)
      await fails('not-found', driver.attach(blog, signal))
    })

    test('detach and remove of a volume that was never made succeed', async () => {
      await using opened = await open()
      await opened.driver.detach(blog)
      await opened.driver.remove(blog)
    })

    test.skipIf(!hasBytes)('bytes outlive detach, attach and growth, and a new volume is blank', async () => {
      await using opened = await open()
      const { driver } = opened
      const formatted = Buffer.alloc(4096, 'formatted')
      await driver.create(blog, size, path => writeAt(path, formatted), signal)
      assert.deepEqual(await readAt(await driver.attach(blog, signal)), formatted)
      const written = Buffer.alloc(4096, 'written')
      await writeAt(await driver.attach(blog, signal), written)
      await driver.detach(blog)
      await driver.grow(blog, 2 * size, signal)
      assert.deepEqual(await readAt(await driver.attach(blog, signal)), written)
      await driver.detach(blog)
      await driver.remove(blog)
      await driver.create(blog, size, nothing, signal)
      assert.deepEqual(await readAt(await driver.attach(blog, signal)), Buffer.alloc(4096))
    })

    const [monday, tuesday] = [snapshotId('monday'), snapshotId('tuesday')]

    test('a snapshot is taken once, listed, outlives its volume, and is removed', async context => {
      await using opened = await open()
      const { driver } = opened
      const snapshots = snapshotsOf(driver, context)
      await driver.create(blog, size, nothing, signal)
      for (const id of [monday, monday, tuesday]) await snapshots.take({ volume: blog, id }, signal)
      await snapshots.finish({ volume: blog, id: monday }, signal)
      await snapshots.finish({ volume: blog, id: tuesday }, signal)
      assert.deepEqual([...(await snapshots.of(blog))].sort(), [monday, tuesday])
      assert.deepEqual(await snapshots.of(copy), [])
      await snapshots.remove({ volume: blog, id: tuesday })
      await snapshots.remove({ volume: blog, id: tuesday })
      await driver.detach(blog)
      await driver.remove(blog)
      assert.deepEqual(await snapshots.of(blog), [monday])
    })

    test('what was never made has no snapshots, and none is made from a snapshot that is not there', async context => {
      await using opened = await open()
      const { driver } = opened
      const snapshots = snapshotsOf(driver, context)
      const missing = { volume: blog, id: monday }
      await fails('not-found', snapshots.take(missing, signal))
      await fails('not-found', snapshots.finish(missing, signal))
      await snapshots.remove(missing)
      await fails('not-found', driver.create(copy, size, nothing, signal, { from: missing }))
      await fails('not-found', driver.attach(copy, signal))
    })

    test('a volume that is made from a snapshot is not formatted, and is at least as large', async context => {
      await using opened = await open()
      const { driver } = opened
      const snapshots = snapshotsOf(driver, context)
      const from = { volume: blog, id: monday }
      await driver.create(blog, 2 * size, nothing, signal)
      await snapshots.take(from, signal)
      await snapshots.finish(from, signal)
      const format = (): Promise<void> => assert.fail('it was formatted')
      await driver.create(copy, size, format, signal, { from })
      await snapshots.remove(from)
      await driver.create(copy, size, format, signal, { from })
      await fails('bad-input', driver.grow(copy, size, signal))
      await driver.grow(copy, 3 * size, signal)
      await driver.attach(copy, signal)
    })

    test.skipIf(!hasBytes)('a snapshot has the bytes of its moment, also of an attached volume', async context => {
      await using opened = await open()
      const { driver } = opened
      const snapshots = snapshotsOf(driver, context)
      const [before, after] = [Buffer.alloc(4096, 'before'), Buffer.alloc(4096, 'after')]
      await driver.create(blog, size, path => writeAt(path, before), signal)
      const device = await driver.attach(blog, signal)
      const from = { volume: blog, id: monday }
      await snapshots.take(from, signal)
      await writeAt(device, after)
      await snapshots.take(from, signal)
      await snapshots.finish(from, signal)
      await driver.create(copy, size, nothing, signal, { from })
      const copied = await driver.attach(copy, signal)
      assert.deepEqual(await readAt(copied), before)
      await writeAt(copied, Buffer.alloc(4096, 'copy'))
      assert.deepEqual(await readAt(device), after)
      await driver.detach(blog)
      await driver.remove(blog)
      await driver.create(blog, size, nothing, signal, { from, epoch: 2 })
      assert.deepEqual(await readAt(await driver.attach(blog, signal)), before)
      await snapshots.remove(from)
      assert.deepEqual(await readAt(await driver.attach(blog, signal)), before)
    })
  })
}

/** The snapshots of the driver; the test is skipped where it has none. */
function snapshotsOf({ snapshots }: BlockDriver, { skip }: TestContext): Snapshots {
  return snapshots ?? skip('the driver takes no snapshots')
}

async function writeAt(path: string, bytes: Buffer): Promise<void> {
  await using file = await openFile(path, 'r+')
  await file.write(bytes, 0, bytes.length, 0)
  await file.sync()
}

async function readAt(path: string): Promise<Buffer> {
  await using file = await openFile(path, 'r')
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
  return buffer
}

async function fails(code: Parameters<typeof isFailure>[1], call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, error => isFailure(error, code))
}
