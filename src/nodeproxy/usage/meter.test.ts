import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName, volumeId } from '../../model/names.ts'
import { size } from '../../model/quantities.ts'
import type { UsageCounters } from '../../model/usage.ts'
import { HandClock } from '../../testing/clock.ts'
import { aTask } from '../../testing/fake-app.ts'
import { FakeRuntime } from '../../testing/fake-runtime.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import type { Container } from '../runtime/runtime.ts'
import { UsageLedger } from './ledger.ts'
import { UsageMeter } from './meter.ts'

const BLOG = appName('blog')
const GIB = 2 ** 30
const task = aTask({ app: BLOG, volume: undefined, limits: { memory: size('512MiB'), cpus: 1, pids: 100 } })
const never = new AbortController().signal

class World {
  readonly clock = new HandClock(Date.parse('2026-12-30T12:00:00Z'))
  readonly runtime = new FakeRuntime()
  readonly folder = temporaryFolder('meter')
  volumes: { id: ReturnType<typeof volumeId>; onDiskBytes: number }[] = []
  rests = 0
  ledger!: UsageLedger
  meter!: UsageMeter

  /** Begins a process; the one before it, if there was one, was killed. */
  async begin(): Promise<void> {
    this.ledger = await UsageLedger.open(this.folder, this.clock.wall(), noLog)
    const { ledger, runtime, clock } = this
    const onRest = () => void this.rests++
    this.meter = new UsageMeter({ ledger, runtime, volumes: async () => this.volumes, onRest, clock, log: noLog })
  }

  async container(): Promise<Container> {
    const container = await this.runtime.create(instanceId(BLOG), task, undefined, never)
    await this.runtime.start(container, never)
    return container
  }

  get used(): UsageCounters | undefined {
    return this.ledger.ofDay('2026-12-30').get(BLOG)
  }
}

async function world(): Promise<World> {
  const made = new World()
  await made.begin()
  return made
}

const NONE = { volumeGiBHours: 0, backupGiBHours: 0, requests: 0 }

test('a run counts from its start until its last process has ended, by the counters of the kernel', async () => {
  const here = await world()
  const { clock, runtime, meter } = here
  const container = await here.container()
  meter.started(container, task)
  runtime.usedCpuMs = 1_500
  runtime.sentBytes = 4_000
  clock.pause(10_000)
  await meter.read()
  meter.ended({ container: container.id })
  await clock.advance(200)
  runtime.usedCpuMs = 2_000
  await clock.advance(200)
  await runtime.stop(container, 0)
  runtime.usedCpuMs = 9_999
  await clock.advance(200)
  const used = Object.entries(here.used ?? {}).map(([name, value]) => [name, Number(value.toFixed(6))])
  const wanted = { ...NONE, awakeSeconds: 10.6, memoryGiBSeconds: 5.3, cpuSeconds: 2, egressBytes: 4_000 }
  assert.deepEqual(Object.fromEntries(used), wanted)
  while (here.rests === 0) await new Promise(setImmediate)
  await clock.advance(60_000)
  await meter.read()
  assert.equal(here.used?.awakeSeconds.toFixed(6), '10.600000')
})

test('a run that outlives a killed process is counted on by the next one, over the time between, and never twice', async () => {
  const here = await world()
  const container = await here.container()
  here.meter.started(container, task)
  here.runtime.usedCpuMs = 1_000
  here.clock.pause(10_000)
  await here.meter.read()
  await here.ledger.flush()
  // Counted and not written: the process is killed.
  here.runtime.usedCpuMs = 1_500
  here.clock.pause(5_000)
  await here.meter.read()

  await here.begin()
  here.runtime.usedCpuMs = 3_000
  here.clock.pause(45_000)
  here.meter.started(container, task)
  await here.meter.read()
  assert.deepEqual([here.used?.awakeSeconds, here.used?.cpuSeconds], [60, 3])
})

test('a run that has vanished while no process looked counts up to its last reading', async () => {
  const here = await world()
  const container = await here.container()
  here.meter.started(container, task)
  here.clock.pause(10_000)
  await here.meter.read()
  await here.runtime.stop(container, 0)
  here.clock.pause(50_000)
  await here.meter.read()
  assert.equal(here.used?.awakeSeconds, 10)
})

test('time counts by the monotonic clock, whatever is done to the wall clock', async () => {
  const here = await world()
  here.meter.started(await here.container(), task)
  here.clock.pause(10_000)
  here.clock.setWall(-3_600_000)
  await here.meter.read()
  here.clock.pause(10_000)
  here.clock.setWall(7_200_000)
  await here.meter.read()
  assert.equal(here.used?.awakeSeconds, 20)
})

test('requests that threads count are added up, also where the number overflows', async () => {
  const here = await world()
  const count = here.meter.requestsOf(BLOG)
  assert.equal(here.meter.requestsOf(BLOG), count)
  Atomics.add(count, 0, 0x7fff_ffff)
  await here.meter.read()
  Atomics.add(count, 0, 10)
  await here.meter.read()
  await here.meter.read()
  assert.equal(here.used?.requests, 0x7fff_ffff + 10)
})

test('a volume counts for as long as it is there, by what it took when it was last measured, also while no process ran', async () => {
  const here = await world()
  here.volumes = [{ id: volumeId('blog'), onDiskBytes: 2 * GIB }]
  await here.meter.measure()
  await here.ledger.flush()
  here.clock.pause(3_600_000)
  await here.begin()
  here.volumes = [{ id: volumeId('blog'), onDiskBytes: 3 * GIB }]
  await here.meter.measure()
  assert.equal(here.used?.volumeGiBHours, 2)
  here.clock.pause(1_800_000)
  await here.meter.measure()
  assert.equal(here.used?.volumeGiBHours, 3.5)
  here.volumes = []
  await here.meter.measure()
  here.clock.pause(3_600_000)
  await here.meter.measure()
  assert.equal(here.used?.volumeGiBHours, 3.5)
})

test('what is not written is at most a second old', async () => {
  const here = await world()
  here.meter.start()
  Atomics.add(here.meter.requestsOf(BLOG), 0, 5)
  await here.clock.advance(1_000)
  await here.ledger.flush()
  await here.begin()
  assert.equal(here.used?.requests, 5)
})
