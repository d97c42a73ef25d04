import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { instanceId } from '../../../model/instance-id.ts'
import { nodeName } from '../../../model/names.ts'
import { size } from '../../../model/quantities.ts'
import type { TaskDefinition } from '../../../model/task.ts'
import { aTask } from '../../../testing/fake-app.ts'
import { containerName, specificationOf } from '../specification.ts'
import { fingerprintOf, isParkedName, parkedName, parkedSpecification } from './parked-specification.ts'

const node = nodeName('n1')
const gate = { name: '0123', folder: '/data/gates/0123' }

function usual(changes: Partial<TaskDefinition> = {}, where: { address?: string; holder?: string } = {}) {
  const task = aTask({ env: { SECRET: 'of the definition' }, ...changes })
  const id = instanceId(task.app)
  const given = { node, instance: id, key: id, network: 'apps', init: true, limitsDisk: false }
  const { name: _, ...rest } = specificationOf(task, { ...given, address: '10.0.0.2', mountedAt: '/mnt/v', ...where })
  return { task, usual: rest }
}

describe('a parked container', () => {
  test('has nothing of the environment of its definition, and no command of it', () => {
    const { task, usual: rest } = usual({ command: ['secret-words'] })
    const parked = parkedSpecification(rest, task.volume, gate)
    assert.doesNotMatch(JSON.stringify(parked), /of the definition|SECRET|secret-words/)
    assert.deepEqual([parked.Env, parked.Cmd, parked.Entrypoint], [[], [], ['/run/shadow-gate/gate']])
  })

  test('sees a volume that is mounted later, and no other later mount', () => {
    const { task, usual: rest } = usual()
    const mounts = parkedSpecification(rest, task.volume, gate).HostConfig.Mounts
    assert.deepEqual(
      mounts.map(({ Target, BindOptions }) => [Target, BindOptions.Propagation]),
      [
        [task.volume?.path, 'rslave'],
        ['/run/shadow-gate', 'rprivate'],
      ],
    )
  })

  test('has a name that is that of no app', () => {
    assert.ok(isParkedName(parkedName(node, gate), node))
    assert.ok(!isParkedName(containerName(node, instanceId('parked' as never)), node))
  })
})

describe('a container does for another definition', () => {
  const is = (changes: Partial<TaskDefinition>, where = {}) =>
    fingerprintOf(usual(changes, where).usual) === fingerprintOf(usual().usual)

  test('if only its environment, its address or its network differ', () => {
    assert.ok(is({ env: { SECRET: 'another' } }))
    assert.ok(is({}, { address: '10.0.0.3' }))
    assert.ok(is({}, { address: '10.0.0.3', holder: 'abc' }))
  })

  for (const [what, changes] of Object.entries({
    revision: { revision: 2 },
    image: { image: 'other' },
    command: { command: ['other'] },
    limits: { limits: { memory: size('1GiB'), cpus: 1, pids: 3 } },
    volume: { volume: undefined },
    egress: { egress: ['10.0.0.0/8'] },
  } as unknown as Record<string, Partial<TaskDefinition>>))
    test(`not if its ${what} differs`, () => assert.ok(!is(changes)))
})
