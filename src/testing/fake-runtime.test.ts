import { aTask } from './fake-app.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { describeRuntime } from './runtime-contract.ts'

describeRuntime('fake', async () => {
  const runtime = new FakeRuntime()
  runtime.writes = ['hello']
  return { runtime, task: aTask({ volume: undefined }) }
})
