import { mkdtemp, rm } from 'node:fs/promises'
import { loop } from '../../src/nodeproxy/volumes/loop.ts'
import { describeBlockDriver } from '../../src/testing/block-driver-contract.ts'

describeBlockDriver('loop', async () => {
  const folder = await mkdtemp('/tmp/shadow-volumes-')
  const driver = loop({ folder })
  return {
    driver,
    async [Symbol.asyncDispose]() {
      for (const { volume } of await driver.attached()) await driver.detach(volume)
      await rm(folder, { recursive: true, force: true })
    },
  }
})
