import { MessageChannel } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { Holding } from '../api/holding.ts'
import { Channel } from '../lib/threads/channel.ts'
import type { Held, HoldRequest } from '../model/instance.ts'
import { progressOf } from '../model/wake-progress.ts'
import { aHoldRequest, aTask } from '../testing/fake-app.ts'
import { InstanceEnvironment, never } from '../testing/instance-environment.ts'
import { Grants } from './grants.ts'

const LINGER_MS = 50
const IDLE_MS = 300_000 // of the task in these tests
const open: Disposable[] = []
afterEach(() => {
  for (const one of open.splice(0)) one[Symbol.dispose]()
})

/** A node with one app and its workers. They share this thread, but communicate over real ports. */
function node(workers: number, changes: Parameters<typeof aTask>[0] = {}) {
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(aTask(changes))
  const grants = new Grants({
    hold: (_app, request, cancellation) => instance.hold(request, cancellation),
    follow: (_app, _permit, signal) => instance.follow(signal),
    phase: () => instance.phase,
    refused: async () => undefined,
    alive: async () => undefined,
    clock: environment.clock,
  })
  const all = Array.from({ length: workers }, () => {
    const { port1, port2 } = new MessageChannel()
    const main = new Channel(port1)
    const channel = new Channel(port2)
    const given = grants.serve(main)
    const holding = new Holding({ channel, clock: environment.clock, onRunEnded: () => undefined })
    const ping = { ping: () => undefined }
    for (const side of [main, channel]) side.serve(ping)
    const dies = (): void => {
      main[Symbol.dispose]()
      given[Symbol.dispose]()
      port1.close()
    }
    open.push({ [Symbol.dispose]: () => port1.close() })
    return {
      hold: async (request: Partial<HoldRequest> = {}, cancellation = { signal: never }): Promise<Held> =>
        holding.hold(instance.id, aHoldRequest(request), cancellation),
      follow: (signal: AbortSignal) => holding.follow(instance.id, undefined, signal),
      phase: () => holding.phase(instance.id),
      holdNow: (request: Partial<HoldRequest> = {}) =>
        holding.hold(instance.id, aHoldRequest(request), { signal: never }),
      /** Resolves when each side has received all messages of the other. */
      heard: async () => {
        await channel.other<typeof ping>().call('ping', undefined as never)
        await main.other<typeof ping>().call('ping', undefined as never)
        await channel.other<typeof ping>().call('ping', undefined as never)
      },
      dies,
    }
  })
  return { ...environment, environment, instance, grants, clock: environment.clock, workers: all }
}

const release = (held: Held): void => held[Symbol.dispose]()

test('the first request of a worker asks and wakes, those after it are counted there', async () => {
  const {
    instance,
    workers: [one],
    grants,
  } = node(1)
  const first = await one!.hold()
  expect([first.waited === undefined, instance.phase, grants.count]).toEqual([false, 'awake', 1])
  const second = one!.holdNow()
  expect(second).not.toBeInstanceOf(Promise)
  expect([(second as Held).address, (second as Held).waited]).toEqual([first.address, undefined])
  release(first)
  release(second as Held)
  await one!.heard()
  expect(grants.count).toBe(1)
})

test('an app that a worker uses does not fall asleep; it does at its time after the last use there', async () => {
  const {
    instance,
    clock,
    workers: [one],
    grants,
  } = node(1)
  const held = await one!.hold()
  await clock.advance(3 * IDLE_MS)
  await one!.heard()
  expect([instance.phase, instance.view().sleepsAt]).toEqual(['awake', null])
  const over = clock.now()
  release(held)
  await clock.advance(2 * LINGER_MS)
  await one!.heard()
  expect([grants.count, instance.view().sleepsAt]).toEqual([0, new Date(over + IDLE_MS).toISOString()])
  await clock.advance(IDLE_MS - 2 * LINGER_MS - 1)
  expect(instance.phase).toBe('awake')
  await clock.advance(1)
  expect(instance.phase).toBe('asleep')
})

test('the last use counts, of whichever worker, whoever gives back last', async () => {
  const {
    instance,
    clock,
    workers: [one, two],
  } = node(2)
  const [early, late] = [await one!.hold(), await two!.hold()]
  release(early)
  await clock.advance(2 * LINGER_MS)
  await one!.heard()
  await clock.advance(60_000)
  const over = clock.now()
  release(late)
  await clock.advance(2 * LINGER_MS)
  await two!.heard()
  expect(instance.view().sleepsAt).toBe(new Date(over + IDLE_MS).toISOString())
})

test('a revocation lets what runs end, the stop waits for it, and who comes next wakes the app anew', async () => {
  const {
    instance,
    runtime,
    workers: [one, two],
    grants,
  } = node(2)
  const runs = await one!.hold()
  const asleep = instance.sleep('asked')
  await one!.heard()
  expect([instance.phase, runtime.running().length]).toEqual(['stopping', 1])
  const [same, other] = [one!.hold(), two!.hold()]
  await one!.heard()
  await two!.heard()
  expect([instance.phase, runtime.running().length]).toEqual(['stopping', 1])
  release(runs)
  await asleep
  const woken = await Promise.all([same, other])
  expect([instance.phase, woken.every(({ waited }) => waited !== undefined)]).toEqual(['awake', true])
  woken.map(release)
  await one!.heard()
  expect(grants.count).toBeLessThanOrEqual(2)
})

test('a lingering grant is given back at once when it is revoked: the stop need not wait for it', async () => {
  const {
    instance,
    workers: [one],
    grants,
  } = node(1)
  release(await one!.hold())
  await one!.heard()
  expect(grants.count).toBe(1)
  await instance.sleep('asked')
  expect([instance.phase, grants.count]).toEqual(['asleep', 0])
})

test('a new revision waits for requests that a worker has in flight', async () => {
  const {
    instance,
    runtime,
    workers: [one],
  } = node(1)
  const runs = await one!.hold()
  instance.define(aTask({ revision: 2 }))
  await one!.heard()
  expect(runtime.running().length).toBe(1)
  release(runs)
  const next = await one!.hold()
  expect([instance.phase, instance.view().revision]).toEqual(['awake', 2])
  release(next)
})

test('a worker that dies gives back all, and the idle clock starts then', async () => {
  const {
    instance,
    clock,
    workers: [one],
    grants,
  } = node(1)
  await Promise.all([one!.hold(), one!.hold(), one!.hold({ kind: 'websocket' })])
  await clock.advance(60_000)
  one!.dies()
  expect(grants.count).toBe(0)
  expect(instance.view()).toMatchObject({ sleepsAt: new Date(clock.now() + IDLE_MS).toISOString(), holds: [] })
})

test('a worker that dies while its request waits for the wake leaves nothing', async () => {
  const {
    environment,
    instance,
    workers: [one],
    grants,
  } = node(1)
  const ready = environment.slowReady()
  one!.hold().catch(() => undefined)
  await one!.heard()
  expect(instance.view()).toMatchObject({ phase: 'waking', waiting: 1 })
  one!.dies()
  ready.resolve()
  await instance.wake({ says: 'test', cause: 'person' }, never)
  expect([grants.count, instance.view().waiting, instance.view().holds]).toEqual([0, 0, []])
})

test('who leaves while the app wakes is let go, and no grant is left', async () => {
  const {
    environment,
    instance,
    workers: [one],
    grants,
  } = node(1)
  const ready = environment.slowReady()
  const cancellation = new AbortController()
  const waits = one!.hold({}, cancellation)
  await one!.heard()
  cancellation.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
  await one!.heard()
  expect(instance.view()).toMatchObject({ phase: 'waking', waiting: 0 })
  ready.resolve()
  await instance.wake({ says: 'test', cause: 'person' }, never)
  await one!.heard()
  expect(grants.count).toBe(0)
})

test('a request that leaves while its grant is on the way gives it back', async () => {
  const {
    instance,
    workers: [one],
    grants,
  } = node(1)
  await instance.wake({ says: 'test', cause: 'person' }, never)
  const cancellation = new AbortController()
  const waits = one!.hold({}, cancellation)
  // The grant exists, but this side has not read it yet.
  while (grants.count === 0) await new Promise(resolve => queueMicrotask(() => setImmediate(resolve)))
  cancellation.abort(new Error('gone'))
  await waits.then(release, () => undefined)
  await instance.sleep('asked')
  expect([instance.phase, grants.count]).toEqual(['asleep', 0])
})

test('failures are those of the instance', async () => {
  const {
    workers: [one],
  } = node(1)
  await expect(one!.hold({ mayWake: false })).rejects.toMatchObject({ code: 'app-asleep' })
})

test('checks that may not wake do not put the sleep off, however many come', async () => {
  const {
    instance,
    clock,
    workers: [one],
  } = node(1)
  release(await one!.hold())
  const over = clock.now()
  for (let at = 0; at < 100; at++) {
    await clock.advance(IDLE_MS / 100)
    await one!.heard()
    await one!.hold({ mayWake: false }).then(release, () => undefined)
    await one!.heard()
  }
  expect(clock.now()).toBe(over + IDLE_MS)
  await clock.advance(0)
  expect(instance.phase).toBe('asleep')
})

test('a view after a report names all that is held, WebSockets too, and nothing that is over', async () => {
  const {
    instance,
    workers: [one, two],
    grants,
  } = node(2)
  const socket = await one!.hold({ kind: 'websocket', what: 'GET /ws' })
  const upload = await one!.hold({ what: 'PUT /long' })
  release(await two!.hold({ what: 'GET /short' }))
  await grants.report()
  const told = (): string[] => instance.view().holds.map(({ what }) => what)
  expect(told().sort()).toEqual(['GET /ws', 'PUT /long'])
  release(upload)
  await grants.report()
  expect(told()).toEqual(['GET /ws'])
  expect(instance.view().sleepsAt).toBe(null)
  release(socket)
  await grants.report()
  expect([told(), instance.view().sleepsAt === null]).toEqual([[], false])
})

test('a WebSocket of an app that ignores them is listed, and keeps nothing awake', async () => {
  const {
    instance,
    clock,
    workers: [one],
    grants,
  } = node(1, {
    sleep: { ...aTask().sleep, webSockets: 'ignore' },
  })
  release(await one!.hold())
  let told = 0
  const socket = await one!.hold({ kind: 'websocket', what: 'GET /ws', goAway: () => told++ })
  await grants.report()
  expect(
    instance
      .view()
      .holds.filter(({ isIgnored }) => isIgnored)
      .map(({ what }) => what),
  ).toEqual(['GET /ws'])
  await clock.advance(2 * IDLE_MS)
  expect(instance.phase).toBe('asleep')
  await grants.report()
  expect(told).toBe(1)
  release(socket)
})

test('an address that refused is not used again without asking', async () => {
  const {
    workers: [one],
    grants,
  } = node(1)
  const held = await one!.hold()
  await held.refused?.().catch(() => undefined)
  const next = one!.holdNow()
  expect(next).toBeInstanceOf(Promise)
  release(held)
  release(await next)
  await one!.heard()
  expect(grants.count).toBe(1)
})

test('a second release is a bug, and thrown', async () => {
  const {
    workers: [one],
  } = node(1)
  const held = await one!.hold()
  release(held)
  expect(() => release(held)).toThrow('released twice')
})

test('the phase is followed from the worker: as it is, at each change, until the follower leaves', async () => {
  const {
    environment,
    instance,
    workers: [one],
  } = node(1)
  const ready = environment.slowReady()
  const cancellation = new AbortController()
  const seen: string[] = []
  const stages = new Set<string>()
  const followed = (async () => {
    for await (const { phase, lastWake } of one!.follow(cancellation.signal)) {
      if (seen.at(-1) !== phase) seen.push(phase)
      const { stage } = progressOf({ phase, lastWake })
      if (stage !== undefined) stages.add(stage)
    }
  })()
  while (seen.length < 1) await one!.heard()
  const woken = instance.wake({ says: 'test', cause: 'person' }, never)
  while (seen.length < 2) await one!.heard()
  ready.resolve()
  await woken
  while (seen.length < 3) await one!.heard()
  expect([seen, await one!.phase()]).toEqual([['asleep', 'waking', 'awake'], 'awake'])
  expect(stages.has('answering')).toBe(true)
  cancellation.abort(new Error('gone'))
  await followed
})
