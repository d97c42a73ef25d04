import { describeExec } from './exec-contract.ts'
import { aTask } from './fake-app.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { describeRuntime } from './runtime-contract.ts'

describeRuntime('fake', async () => {
  const runtime = new FakeRuntime()
  runtime.writes = ['hello']
  return { runtime, task: aTask({ volume: undefined }) }
})

describeExec('the fake runtime', async () => {
  const runtime = new FakeRuntime()
  return {
    runtime,
    task: aTask({ volume: undefined }),
    running: async (container, word) =>
      runtime.commandsIn(container).flatMap(({ processes }) => processes.filter(line => line.includes(word))).length,
  }
})
