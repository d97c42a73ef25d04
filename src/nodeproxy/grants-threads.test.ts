import { afterEach, expect, test } from 'vitest'
import { noLog } from '../lib/log.ts'
import type { Channel } from '../lib/threads/channel.ts'
import { countsOf } from '../lib/threads/counted.ts'
import { WorkerPool } from '../lib/threads/worker-pool.ts'
import { appOf, type InstanceId, instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { aTask } from '../testing/fake-app.ts'
import type { HolderOrders } from '../testing/holder.ts'
import { InstanceEnvironment, never } from '../testing/instance-environment.ts'
import { Grants } from './grants.ts'

const IDLE_MS = 300_000
const pools: WorkerPool[] = []
afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.end()))
})

/** Instances of these apps in this thread, and real threads that hold them. */
async function node(names: readonly string[], threads: number) {
  const environment = new InstanceEnvironment()
  const { clock, runtime } = environment
  const users = new Int32Array(new SharedArrayBuffer(4 * 100_000))
  const stoppedInUse: string[] = []
  // Each container has its own address. No container may be stopped while a thread counts users of its address.
  let made = 0
  const next = (): void => {
    runtime.ip = `10.0.0.${made++}`
  }
  next()
  runtime.onStart = () => queueMicrotask(next)
  const stop = runtime.stop.bind(runtime)
  runtime.stop = async (container, graceMs) => {
    const place = Number(runtime.containers.get(container.id)?.ip?.split('.')[3])
    if (Atomics.load(users, place) !== 0) stoppedInUse.push(container.id)
    await stop(container, graceMs)
  }
  const apps = names.map(name => instanceId(appName(name)))
  const instances = new Map(apps.map(id => [id, environment.anInstance(aTask({ app: appOf(id), volume: undefined }))]))
  const of = (id: InstanceId) => instances.get(id)!
  const grants = new Grants({
    hold: (id, request, cancellation) => of(id).hold(request, cancellation),
    follow: (id, _permit, signal) => of(id).follow(signal),
    phase: id => of(id).phase,
    refused: async () => undefined,
    alive: async () => undefined,
    clock,
  })
  const channels: Channel[] = []
  const watchdogClock = new HandClock()
  const pool = new WorkerPool({
    entry: new URL('../testing/holder.ts', import.meta.url),
    size: threads,
    data: () => ({ users: users.buffer }),
    serve: (channel, index) => {
      channels[index] = channel
      return grants.serve(channel)
    },
    endWithinMs: 10_000,
    clock,
    watchdogClock,
    log: noLog,
  })
  pools.push(pool)
  await pool.start()
  const worker = (index: number) => channels[index]!.other<HolderOrders>()
  return { environment, clock, watchdogClock, runtime, apps, of, grants, pool, worker, stoppedInUse }
}

const turn = () => new Promise(resolve => setImmediate(resolve))
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn()
}

test('after 10,000 requests of all kinds over three threads, among sleeps and deploys, not one hold is left', async () => {
  const { clock, runtime, apps, of, grants, worker, stoppedInUse } = await node(['a', 'b', 'c', 'd', 'e'], 3)
  let going = true
  const unrest = (async () => {
    for (let at = 0; going; at++) {
      const instance = of(apps[at % apps.length]!)
      if (at % 2 === 0) instance.sleep('asked').catch(() => undefined)
      else instance.define(aTask({ app: appOf(instance.id), volume: undefined, revision: at + 1 }))
      for (let turns = 0; turns < 20; turns++) await turn()
    }
  })()
  const storm = () => Promise.all([0, 1, 2].map(index => worker(index).call('storm', { apps, requests: 3_334 })))
  const told = await storm()
  // On a machine whose threads run one after the other, few sleeps fall into so short a time.
  while (runtime.count('start') <= 10) await storm()
  going = false
  await unrest
  const sum = (of: 'served' | 'refused' | 'left') => told.reduce((all, one) => all + one[of], 0)
  expect(sum('served') + sum('refused') + sum('left')).toBe(10_002)
  expect(sum('served')).toBeGreaterThan(5_000)
  expect(stoppedInUse).toEqual([])
  await grants.report()
  expect(grants.count).toBe(0)
  expect(apps.map(app => [of(app).view().holds, of(app).view().waiting])).toEqual(apps.map(() => [[], 0]))
  await Promise.all(apps.map(app => of(app).wake({ says: 'test', cause: 'person' }, never)))
  await clock.advance(IDLE_MS)
  expect(apps.map(app => of(app).phase)).toEqual(apps.map(() => 'asleep'))
  expect(runtime.containers.size).toBe(0)
})

for (const how of ['exit', 'throw', 'hang'] as const)
  test(`a thread that dies (${how}) gives back what it held, others keep theirs, and it is started again`, async () => {
    const { clock, watchdogClock, apps, of, grants, pool, worker } = await node(['a', 'b'], 2)
    const counted = countsOf(pool)
    // A thread that is starting, or is too busy to report in time, is asked again.
    const requests = async (threads: number): Promise<number[]> => {
      for (;;) {
        const counts = await counted()
        if (counts.length === threads) return counts.map(({ requests }) => requests)
      }
    }
    const [a, b] = apps as [InstanceId, InstanceId]
    await Promise.all([worker(0).call('hold', a), worker(0).call('hold', b), worker(1).call('hold', b)])
    expect(grants.count).toBe(3)
    expect(await requests(2)).toEqual([7, 7])
    await clock.advance(IDLE_MS)
    const at = clock.now()
    worker(0).notify('die', how)
    for (let second = 0; how === 'hang' && second < 11; second++) {
      await watchdogClock.advance(1_000)
      await worker(1).call('storm', { apps, requests: 0 }) // so this thread has answered the watchdog
    }
    await until(() => pool.deaths === 1)
    expect(grants.count).toBe(1)
    expect([of(a).view().sleepsAt, of(b).view().sleepsAt]).toEqual([new Date(at + IDLE_MS).toISOString(), null])
    await clock.advance(IDLE_MS)
    expect([of(a).phase, of(b).phase]).toEqual(['asleep', 'awake'])
    await until(() => pool.channels.length === 2)
    expect(await requests(3)).toEqual([7, 7, 7])
    expect(await worker(0).call('hold', a)).toMatch(/^10\./)
    expect(of(a).phase).toBe('awake')
  })

test('a request to one thread, while the app falls asleep after the last of another, wakes it again', async () => {
  const { clock, runtime, apps, of, grants, worker } = await node(['a'], 2)
  const [a] = apps as [InstanceId]
  const before = await worker(0).call('hold', a)
  worker(0).notify('release', null)
  await grants.report()
  const gate = runtime.gate('stop')
  await clock.advance(IDLE_MS)
  expect(of(a).phase).toBe('stopping')
  const woken = worker(1).call('hold', a)
  await until(() => of(a).view().waiting === 1)
  gate.open()
  expect(await woken).not.toBe(before)
  expect([of(a).phase, runtime.count('start')]).toEqual(['awake', 2])
})

test('a stop waits for what runs in a real thread', async () => {
  const { apps, of, runtime, grants, worker } = await node(['a'], 1)
  const [a] = apps as [InstanceId]
  await worker(0).call('hold', a)
  const asleep = of(a).sleep('asked')
  await grants.report()
  expect([of(a).phase, runtime.running().length]).toEqual(['stopping', 1])
  worker(0).notify('release', null)
  await asleep
  expect([of(a).phase, grants.count]).toEqual(['asleep', 0])
})
