import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { ebs } from '../../src/nodeproxy/volumes/ebs.ts'
import { Cloud } from '../../src/testing/cloud.ts'
import { DiskFiles } from './disk-files.ts'

/** The driver `ebs` on a cloud in memory, with files of this machine as its disks. */
export async function ebsOnLoopDevices(): Promise<AsyncDisposable & { readonly driver: BlockDriver }> {
  const files = await DiskFiles.open(disk => cloud.all.find(({ id }) => id === disk)?.sizeGiB ?? 0)
  const cloud: Cloud = new Cloud({
    clock: systemClock,
    transitionMs: 20,
    lagMs: 30,
    onAttached: disk => files.attach(disk),
    onDetached: disk => files.detach(disk),
    onGrown: (disk, sizeGiB) => {
      files.resize(disk, sizeGiB)
      return files.rescan(disk)
    },
    onSnapshot: (snapshot, disk) => files.keep(snapshot, disk),
    onMadeFrom: (disk, snapshot) => files.restore(disk, snapshot),
    onDeleted: disk => files.delete(disk),
  })
  cloud.start('i-1', 'eu-1a')
  const driver = ebs({
    api: cloud,
    cluster: 'test',
    machine: { instance: 'i-1', zone: 'eu-1a' },
    devices: files.devices,
    clock: systemClock,
    log: noLog,
  })
  return {
    driver,
    async [Symbol.asyncDispose]() {
      await files[Symbol.asyncDispose]()
      if (cloud.wrongs.length > 0) throw new Error(cloud.wrongs.join(', '))
    },
  }
}
