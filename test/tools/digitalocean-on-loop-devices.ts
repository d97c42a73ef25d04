import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { digitalocean } from '../../src/nodeproxy/volumes/digitalocean.ts'
import { digitaloceanClient } from '../../src/nodeproxy/volumes/digitalocean-client.ts'
import { Droplets, dropletsToken } from '../../src/testing/droplets.ts'
import { DiskFiles } from './disk-files.ts'

/** The driver `digitalocean` on its API in memory, with files of this machine as its disks. */
export async function digitaloceanOnLoopDevices(): Promise<AsyncDisposable & { readonly driver: BlockDriver }> {
  const files = await DiskFiles.open(disk => cloud.all.find(({ name }) => name === disk)?.size_gigabytes ?? 0)
  const cloud: Droplets = new Droplets({
    clock: systemClock,
    transitionMs: 20,
    onAttached: disk => files.attach(disk),
    onDetached: disk => files.detach(disk),
    onGrown: (disk, sizeGiB) => files.resize(disk, sizeGiB),
    onSnapshot: (snapshot, disk) => files.keep(snapshot, disk),
    onMadeFrom: (disk, snapshot) => files.restore(disk, snapshot),
    onDeleted: disk => files.delete(disk),
  })
  cloud.start(1, 'fra1')
  const driver = digitalocean({
    api: digitaloceanClient({ region: 'fra1', token: dropletsToken, fetch: cloud.fetch, clock: systemClock }),
    cluster: 'test',
    machine: { droplet: 1, region: 'fra1' },
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
