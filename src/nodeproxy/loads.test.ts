import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Gauges } from '../lib/shared/gauges.ts'
import { instanceId } from '../model/instance-id.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { hold, InstanceEnvironment } from '../testing/instance-environment.ts'
import { NodeBounds } from './bounds.ts'
import { Loads } from './loads.ts'

const task = aTask({ volume: undefined, limits: { ...aTask().limits, cpus: 2 } })
const app = { ...anApp(task), scale: { min: 0, max: 3 } }

async function aNode() {
  const environment = new InstanceEnvironment()
  const { clock, runtime } = environment
  const instances = [undefined, '2', '3'].map(slot => environment.anInstance(task, {}, instanceId(task.app, slot)))
  const bounds = new NodeBounds({ clock, gauges: new Gauges(), sockets: 100 })
  let known: typeof app | undefined = app
  const loads = new Loads({ instances: () => instances, known: () => known, runtime, bounds, clock })
  await hold(instances[0]!)
  await hold(instances[1]!)
  const forget = (): void => {
    known = undefined
  }
  return { clock, runtime, bounds, loads, forget }
}

test('the awake instances are told with their requests in flight', async () => {
  const { bounds, loads } = await aNode()
  for (let requests = 0; requests < 3; requests++) bounds.ofInstance(instanceId(task.app, '2')).force()
  assert.deepEqual(await loads.now(), [
    { instance: 'blog', inFlight: 0 },
    { instance: 'blog.2', inFlight: 3 },
  ])
})

test('the use of processors is measured between two questions, as a share of what the instance may use', async () => {
  const { clock, runtime, loads } = await aNode()
  const cpus = async () => (await loads.now()).map(({ cpu }) => cpu)
  runtime.usedCpuMs = 1_000
  assert.deepEqual(await cpus(), [undefined, undefined])
  await clock.advance(2_000)
  runtime.usedCpuMs = 3_000
  assert.deepEqual(await cpus(), [0.5, 0.5])
  await clock.advance(100)
  runtime.usedCpuMs = 3_100
  assert.deepEqual(await cpus(), [0.5, 0.5]) // another front, just after the first
  await clock.advance(1_900)
  assert.deepEqual(await cpus(), [0.025, 0.025])
})

test('apps that have one instance at most are not told', async () => {
  const { loads, forget } = await aNode()
  forget()
  assert.deepEqual(await loads.now(), [])
})
