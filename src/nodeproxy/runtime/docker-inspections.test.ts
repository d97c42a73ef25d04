import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type Docker from 'dockerode'
import { beforeEach, describe, test } from 'vitest'
import { Inspections } from './docker-inspections.ts'

/** It stands in the cgroup of this process, as the id of a container does in that of its processes. */
const ID = readFileSync('/proc/self/cgroup', 'utf8').trim().slice(-1)

let pid: number
let isPaused: boolean
let asked: number
let inspections: Inspections

beforeEach(() => {
  pid = process.pid
  isPaused = false
  asked = 0
  const inspect = async () => {
    asked += 1
    return {
      Name: '/one',
      State: { Running: true, Paused: isPaused, Pid: pid },
      NetworkSettings: { Networks: { ours: { IPAddress: '10.0.0.2' } } },
      Config: { Labels: { 'shadow.app': 'one' } },
    }
  }
  const docker = { getContainer: () => ({ inspect }) } as unknown as Docker
  inspections = new Inspections({ ask: call => call(docker) })
})

const listed = (changes: object = {}) =>
  ({
    Id: ID,
    Names: ['/one'],
    State: 'running',
    NetworkSettings: { Networks: { ours: { IPAddress: '10.0.0.2' } } },
    ...changes,
  }) as unknown as Docker.ContainerInfo

test('a container is inspected once in its run', async () => {
  const first = await inspections.of(listed())
  assert.deepEqual([first?.Name, first?.Config.Labels], ['/one', { 'shadow.app': 'one' }])
  assert.equal(await inspections.of(listed()), first)
  assert.equal(asked, 1)
})

describe('it is inspected again', () => {
  test.each([
    ['when it does not run by the list', { State: 'exited' }],
    ['when Docker has paused it', { State: 'paused' }],
    ['under another name', { Names: ['/two'] }],
    ['with another address', { NetworkSettings: { Networks: { ours: { IPAddress: '10.0.0.3' } } } }],
    ['in another network', { NetworkSettings: { Networks: { theirs: { IPAddress: '10.0.0.2' } } } }],
  ])('%s', async (_, changes) => {
    await inspections.of(listed())
    await inspections.of(listed(changes))
    assert.equal(asked, 2)
  })

  test('once it is out of the list', async () => {
    await inspections.of(listed())
    inspections.only([])
    await inspections.of(listed())
    assert.equal(asked, 2)
  })

  test.each([
    ['its first process is not here, or has ended', () => (pid = 2 ** 22)],
    ['it was paused when it was inspected', () => (isPaused = true)],
  ])('where %s', async (_, happens) => {
    happens()
    await inspections.of(listed())
    await inspections.of(listed())
    assert.equal(asked, 2)
  })
})
