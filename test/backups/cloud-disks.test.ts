import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import { exec } from '../../src/lib/exec.ts'
import { type AppName, volumeId } from '../../src/model/names.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { backupWorld } from '../../src/testing/backup-world.ts'
import { resticHere } from '../../src/testing/restic.ts'
import { digitaloceanOnLoopDevices } from '../tools/digitalocean-on-loop-devices.ts'
import { ebsOnLoopDevices } from '../tools/ebs-on-loop-devices.ts'

const restic = resticHere()
const never = new AbortController().signal
const RESTORE = { undo: false, dryRun: false, by: 'anna' }
const GIB = 2 ** 30

/** Runs the action on the device of the app's volume. */
async function attached<T>(driver: BlockDriver, app: AppName, action: (device: string) => Promise<T>): Promise<T> {
  const device = await driver.attach(volumeId(app), never)
  try {
    return await action(device)
  } finally {
    await driver.detach(volumeId(app))
  }
}

const digestOf = (driver: BlockDriver, app: AppName): Promise<string> =>
  attached(driver, app, async device => {
    const hash = createHash('sha256')
    await pipeline(createReadStream(device, { end: GIB - 1 }), hash)
    return hash.digest('hex')
  })

const clouds = { ebs: ebsOnLoopDevices, digitalocean: digitaloceanOnLoopDevices } as const

for (const [name, start] of Object.entries(clouds) as [keyof typeof clouds, (typeof clouds)['ebs']][])
  describe.skipIf(restic === undefined)(`a volume of the driver ${name}`, { timeout: 600_000 }, () => {
    test('is backed up and tested, is not restored in its place, and is restored byte for byte to a volume that is not made yet', async () => {
      await using cloud = await start()
      const { driver } = cloud
      await using world = await backupWorld(restic!, { imageBytes: GIB, cloud: { name, driver } })
      const blog = await world.app('blog', { inCloud: true })
      const format = async (device: string): Promise<void> =>
        void (await exec('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,nodiscard', device]))
      await driver.create(volumeId(blog), GIB, format, never, { epoch: 1 })
      await attached(driver, blog, async device => {
        await using file = await open(device, 'r+')
        await file.write(randomBytes(3 * 2 ** 20), 0, undefined, 500 * 2 ** 20)
        await file.sync()
      })
      const before = await digestOf(driver, blog)

      await world.backups.backUp(blog, 'asked', never)
      await world.backups.verify(blog, never)
      assert.equal((await world.backups.list(blog)).verified?.backup, (await world.backups.list(blog)).items[0]?.id)

      for (const dryRun of [true, false])
        await assert.rejects(world.backups.restore(blog, { ...RESTORE, dryRun }, never), error => {
          assert.ok(isFailure(error, 'bad-input') && /is not restored in its place/.test(error.message), String(error))
          assert.equal(error.details.hint?.includes('shadow restore blog --to blog-restored'), true)
          return true
        })
      assert.equal(await digestOf(driver, blog), before)
      assert.equal((await world.backups.list(blog)).failure, null)

      const copy = await world.app('blog-restored', { inCloud: true })
      await world.backups.restore(blog, { ...RESTORE, to: copy, dryRun: true }, never)
      const { kept } = await world.backups.restore(blog, { ...RESTORE, to: copy }, never)
      assert.equal(kept, null)
      assert.equal(await digestOf(driver, copy), before)

      // Who has lost the disk, or has removed the volume, restores to the same name.
      await driver.remove(volumeId(blog))
      await world.backups.restore(blog, RESTORE, never)
      assert.equal(await digestOf(driver, blog), before)
      const folder = dirname(dirname(world.image(blog)))
      assert.deepEqual(await readdir(join(folder, '.restored')), [])
    })
  })
