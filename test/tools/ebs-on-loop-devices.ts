import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { systemClock } from '../../src/lib/clock.ts'
import { exec } from '../../src/lib/exec.ts'
import { noLog } from '../../src/lib/log.ts'
import type { BlockDriver, Device } from '../../src/nodeproxy/volumes/block-driver.ts'
import { ebs } from '../../src/nodeproxy/volumes/ebs.ts'
import { untilUnused } from '../../src/nodeproxy/volumes/unused-device.ts'
import { Cloud } from '../../src/testing/cloud.ts'

const GIB = 2 ** 30

/** The driver `ebs` on a cloud in memory. Each disk is a sparse file, and attaching it makes it a loop device of this machine. */
export async function ebsOnLoopDevices(): Promise<AsyncDisposable & { readonly driver: BlockDriver }> {
  const folder = await mkdtemp('/tmp/shadow-volumes-')
  const devices = new Map<string, Device>()
  const made = new Set<string>()
  const detach = async (disk: string): Promise<void> => {
    const device = devices.get(disk)
    if (device !== undefined) await exec('losetup', ['--detach', device])
    devices.delete(disk)
  }
  const cloud: Cloud = new Cloud({
    clock: systemClock,
    transitionMs: 20,
    lagMs: 30,
    onAttached: async disk => {
      const file = `${folder}/${disk}`
      if (!made.has(disk)) {
        await writeFile(file, '')
        await truncate(file, (cloud.all.find(({ id }) => id === disk)?.sizeGiB ?? 0) * GIB)
        made.add(disk)
      }
      devices.set(disk, (await exec('losetup', ['--find', '--show', file])).trim() as Device)
    },
    onDetached: detach,
    onGrown: async (disk, sizeGiB) => {
      if (made.has(disk)) await truncate(`${folder}/${disk}`, sizeGiB * GIB)
      const device = devices.get(disk)
      if (device !== undefined) await exec('losetup', ['--set-capacity', device])
    },
    onDeleted: disk => rm(`${folder}/${disk}`, { force: true }),
  })
  cloud.start('i-1', 'eu-1a')
  const driver = ebs({
    api: cloud,
    cluster: 'test',
    machine: { instance: 'i-1', zone: 'eu-1a' },
    devices: {
      find: async disk => devices.get(disk),
      bytes: async device => Number(await exec('blockdev', ['--getsize64', device])),
      untilUnused,
    },
    clock: systemClock,
    log: noLog,
  })
  return {
    driver,
    async [Symbol.asyncDispose]() {
      for (const disk of [...devices.keys()]) await detach(disk)
      await rm(folder, { recursive: true, force: true })
      if (cloud.wrongs.length > 0) throw new Error(cloud.wrongs.join(', '))
    },
  }
}
