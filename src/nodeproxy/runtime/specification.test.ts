import { expect, test } from 'vitest'
import { instanceId } from '../../model/instance-id.ts'
import { nodeName } from '../../model/names.ts'
import { duration, size } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { aTask } from '../../testing/fake-app.ts'
import { specificationOf } from './specification.ts'

const specified = (changes: Partial<TaskDefinition> = {}) =>
  specificationOf(aTask(changes), {
    node: nodeName('n1'),
    instance: instanceId(aTask().app),
    key: instanceId(aTask().app),
    network: 'shadow-n1',
    address: undefined,
    init: true,
    limitsDisk: false,
    mountedAt: undefined,
  })

test('a health check of the image is not run, unless the app is ready by it', () => {
  expect(specified().Healthcheck).toEqual({ Test: ['NONE'] })
  const checked = specified({ ready: { kind: 'healthcheck' }, startWithin: duration('90s') })
  expect(checked.Healthcheck).toEqual({ StartPeriod: 90e9, StartInterval: 1e9 })
})

test('/dev/shm is as large as was said', () => {
  expect(specified().HostConfig.ShmSize).toBe(64 * 2 ** 20)
  const { limits } = aTask()
  expect(specified({ limits: { ...limits, shm: size('32MiB') } }).HostConfig.ShmSize).toBe(32 * 2 ** 20)
})
