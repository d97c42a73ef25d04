import { describeBlockDriver } from './block-driver-contract.ts'
import { FakeVolumes } from './fake-volumes.ts'

describeBlockDriver('fake', async () => ({ driver: new FakeVolumes(), [Symbol.asyncDispose]: async () => undefined }), {
  hasBytes: false,
})
