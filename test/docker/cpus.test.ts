import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { appName } from '../../src/model/names.ts'
import { size } from '../../src/model/quantities.ts'
import type { Container } from '../../src/nodeproxy/runtime/runtime.ts'
import { containersOfTest, run } from '../tools/containers.ts'
import { docker } from '../tools/docker-host.ts'

const { node, network, runtime, started, task } = containersOfTest()

/** The µs of CPU that the kernel gives the container in each 100 ms, by cgroup v2 or v1. */
function quotaOf({ id }: Container): number {
  const pid = run('inspect', '--format', '{{.State.Pid}}', id)
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers.split(',').includes('cpu'))
      return Number(readFileSync(`/sys/fs/cgroup/cpu${path}/cpu.cfs_quota_us`, 'utf8'))
    if (line.startsWith('0::/docker'))
      return Number(readFileSync(`/sys/fs/cgroup${path}/cpu.max`, 'utf8').split(' ')[0])
  }
  throw new Error('no cgroup of it limits processors')
}

const limited = (name: string, cpus: number) =>
  started(task({ app: appName(name), limits: { memory: size('64MiB'), cpus, pids: 64 } }))

test('a container gets less processor time than its definition says, and all of it again', async () => {
  const floods = await limited('floods', 1)
  expect(quotaOf(floods)).toBe(100_000)
  await runtime.limitCpus(floods, 0.05)
  expect(quotaOf(floods)).toBe(5_000)
  await runtime.limitCpus(floods, undefined)
  expect(quotaOf(floods)).toBe(100_000)
})

test('it never gets more than that', async () => {
  const small = await limited('small', 0.02)
  await runtime.limitCpus(small, 0.05)
  expect(quotaOf(small)).toBe(2_000)
})

test('a node that takes it over gives it all of its processor time again', async () => {
  const floods = await limited('floods', 1)
  await runtime.limitCpus(floods, 0.05)
  await docker({ node, network }).leftBehind()
  expect(quotaOf(floods)).toBe(100_000)
})

test('one that is slowed stays so, however often its own node looks at what runs', async () => {
  const floods = await limited('floods', 1)
  await runtime.limitCpus(floods, 0.05)
  for (let looks = 0; looks < 2; looks += 1) await runtime.leftBehind()
  expect(quotaOf(floods)).toBe(5_000)
})
