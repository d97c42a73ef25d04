import { describeExec } from '../../src/testing/exec-contract.ts'
import { describeRuntime } from '../../src/testing/runtime-contract.ts'
import { containersOfTest, run } from '../tools/containers.ts'

const { runtime, task } = containersOfTest()

describeRuntime('docker', async () => ({
  runtime,
  task: task({ script: 'echo hello; trap "exit 0" TERM; while :; do sleep 0.05; done' }),
}))

const prepared = containersOfTest({ preparedNetworks: 2 }, { keepsHolders: true })

describeRuntime('docker with prepared networks', async () => ({
  runtime: prepared.runtime,
  task: prepared.task({ script: 'echo hello; trap "exit 0" TERM; while :; do sleep 0.05; done' }),
}))

describeExec('docker', async () => ({
  runtime,
  task: task(),
  running: async (container, word) =>
    run('top', container.id, '-eo', 'pid,args')
      .split('\n')
      .filter(line => line.trimEnd().endsWith(word)).length,
}))
