import assert from 'node:assert/strict'
import { open as openFile } from 'node:fs/promises'
import { describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { volumeId } from '../model/names.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'

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
  })
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
