import { describeRuntime } from '../../src/testing/runtime-contract.ts'
import { containersOfTest } from '../tools/containers.ts'

const { runtime, task } = containersOfTest()

describeRuntime('docker', async () => ({
  runtime,
  task: task({ script: 'echo hello; trap "exit 0" TERM; while :; do sleep 0.05; done' }),
}))
