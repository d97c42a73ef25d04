import { mkdtemp, rm } from 'node:fs/promises'
import { nodeName } from '../../src/model/names.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { loop } from '../../src/nodeproxy/volumes/loop.ts'
import { pool } from '../../src/nodeproxy/volumes/pool.ts'
import { describeBlockDriver } from '../../src/testing/block-driver-contract.ts'
import { digitaloceanOnLoopDevices } from '../tools/digitalocean-on-loop-devices.ts'
import { ebsOnLoopDevices } from '../tools/ebs-on-loop-devices.ts'

const drivers: Readonly<Record<string, (folder: string) => BlockDriver>> = {
  loop: folder => loop({ folder }),
  pool: folder => pool({ folder, node: nodeName('node-1') }),
}

for (const [name, open] of Object.entries(drivers))
  describeBlockDriver(name, async () => {
    const folder = await mkdtemp('/tmp/shadow-volumes-')
    const driver = open(folder)
    return {
      driver,
      async [Symbol.asyncDispose]() {
        for (const { volume } of await driver.attached()) await driver.detach(volume)
        await rm(folder, { recursive: true, force: true })
      },
    }
  })

describeBlockDriver('ebs, on a cloud in memory with loop devices as its disks', ebsOnLoopDevices, {
  leastBytes: 2 ** 30,
})

describeBlockDriver('digitalocean, on its API in memory with loop devices as its disks', digitaloceanOnLoopDevices, {
  leastBytes: 2 ** 30,
})
