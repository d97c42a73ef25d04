import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { MemoryPressure, type PressedInstance, type Reclaimer } from './memory-pressure.ts'

type Fake = { -readonly [K in keyof PressedInstance]: PressedInstance[K] }

const MINUTE = 60_000
let clock: HandClock
let instances: Fake[]
let steps: string[]
let available: number
let stalls: number
let swapFreeBytes: number
let reclaimers: Reclaimer[]
let pressure: MemoryPressure

beforeEach(() => {
  clock = new HandClock()
  instances = []
  steps = []
  available = 100
  stalls = 0
  swapFreeBytes = 0
  reclaimers = []
  pressure = new MemoryPressure({
    floor: { bytes: 100 },
    instances: () => instances,
    reclaimers,
    clock,
    log: noLog,
    sample: async () => ({
      memory: { totalBytes: 1_000, availableBytes: available, swapTotalBytes: swapFreeBytes, swapFreeBytes },
      stalls: { some: stalls, full: 0 },
    }),
  })
  pressure.start()
})

/** An awake app that nobody has used for so many minutes. Each step of it makes 10 bytes available. */
function unused(name: string, minutes: number): Fake {
  const at = clock.now() - minutes * MINUTE
  const fake: Fake = {
    id: instanceId(appName(name)),
    phase: 'awake',
    since: at,
    yields: { phase: 'awake', idleSince: at, canSuspend: true, isKept: false },
    stepDown: async (to, idleSince) => {
      if (fake.yields?.idleSince !== idleSince) return false
      steps.push(`${name} ${to}`)
      available += 10
      fake.phase = to
      fake.since = clock.now()
      fake.yields = to === 'asleep' ? undefined : { phase: to, idleSince, canSuspend: true, isKept: false }
      return true
    },
  }
  instances.push(fake)
  return fake
}

function wake(fake: Fake): void {
  const now = clock.now()
  fake.phase = 'awake'
  fake.since = now
  fake.yields = { phase: 'awake', idleSince: now, canSuspend: true, isKept: false }
}

const look = (): Promise<void> => clock.advance(2_000)

describe('while the machine is short of memory', () => {
  test('apps are stepped down one at a time, the longest unused first, until enough is available', async () => {
    available = 99
    for (const [name, minutes] of [
      ['a', 5],
      ['b', 9],
      ['c', 7],
      ['d', 3],
    ] as const)
      unused(name, minutes)
    await look()
    assert.deepEqual(steps, ['b asleep'])
    await look()
    assert.deepEqual([steps, pressure.isShort], [['b asleep', 'c asleep'], true])
    await look()
    await look()
    await look()
    assert.deepEqual([steps, pressure.isShort], [['b asleep', 'c asleep', 'a asleep'], false])
    assert.deepEqual(pressure.counts, { suspended: 0, asleep: 3, reclaimed: 0 })
  })

  test('no app in use is stepped down, however short it is', async () => {
    available = 1
    unused('busy', 9).yields = undefined
    await clock.advance(10 * MINUTE)
    assert.deepEqual([steps, pressure.isShort], [[], true])
  })

  test('an app that was just woken is left alone for half a minute', async () => {
    available = 1
    wake(unused('new', 0))
    await clock.advance(29_999)
    assert.deepEqual(steps, [])
    await look()
    assert.deepEqual(steps, ['new asleep'])
  })

  test('apps are suspended first where there is swap, and sleep once nobody has more to give', async () => {
    available = 1
    swapFreeBytes = 1_000
    unused('a', 9)
    unused('b', 5)
    await clock.advance(8_000)
    assert.deepEqual(steps, ['a suspended', 'b suspended', 'a asleep', 'b asleep'])
  })

  test('an app that came back soon after its step down is spared for a quarter of an hour', async () => {
    available = 1
    const pumped = unused('a', 9)
    await look()
    assert.deepEqual(steps, ['a asleep'])
    await clock.advance(4 * MINUTE)
    wake(pumped)
    await clock.advance(15 * MINUTE)
    assert.deepEqual(steps, ['a asleep'])
    await look()
    assert.deepEqual(steps, ['a asleep', 'a asleep'])
  })

  test('one that came back later gives way again', async () => {
    available = 1
    const back = unused('a', 9)
    await look()
    await clock.advance(6 * MINUTE)
    wake(back)
    await clock.advance(MINUTE)
    assert.deepEqual(steps, ['a asleep', 'a asleep'])
  })

  test('a step that a request has called off counts as none, and the next look goes on', async () => {
    available = 90
    const used = unused('a', 9)
    unused('b', 5)
    const { stepDown } = used
    used.stepDown = async (to, idleSince) => {
      wake(used)
      return stepDown(to, idleSince)
    }
    await look()
    assert.deepEqual([steps, pressure.counts.asleep], [[], 0])
    await look()
    assert.deepEqual(steps, ['b asleep'])
  })

  test('a step that fails does not keep the others from theirs', async () => {
    available = 80
    const stuck = unused('a', 9)
    stuck.stepDown = async () => {
      stuck.yields = undefined
      throw new Error('the volume is busy')
    }
    unused('b', 5)
    await look()
    await look()
    assert.deepEqual(steps, ['b asleep'])
  })

  test('a step that takes long does not keep the others from theirs, and is not taken twice', async () => {
    available = 70
    const slow = unused('a', 9)
    const { stepDown } = slow
    const gate = Promise.withResolvers<void>()
    slow.stepDown = async (to, idleSince) => {
      steps.push('a begins')
      await gate.promise
      return stepDown(to, idleSince)
    }
    unused('b', 5)
    await clock.advance(17_000)
    assert.deepEqual(steps, ['a begins'])
    await clock.advance(4_000)
    assert.deepEqual(steps, ['a begins', 'b asleep'])
    gate.resolve()
    await look()
    assert.deepEqual([steps.at(-1), pressure.counts.asleep], ['a asleep', 2])
  })

  test('what only serves to be quicker later is given back before any app is', async () => {
    available = 99
    unused('a', 9)
    let parked = 2
    reclaimers.push({
      what: 'parked container',
      reclaim: async () => {
        if (parked === 0) return false
        parked -= 1
        available += 5
        return true
      },
    })
    await look()
    await look()
    assert.deepEqual([steps, parked, pressure.counts.reclaimed], [[], 0, 2])
    await look()
    assert.deepEqual(steps, ['a asleep'])
  })
})

test('while processes wait for memory, ten seconds pass between two steps: the kernel tells an average over them', async () => {
  available = 150
  stalls = 50
  for (const name of ['a', 'b', 'c']) unused(name, 9)
  await clock.advance(10_000)
  assert.deepEqual(steps, ['a asleep'])
  await clock.advance(2_000)
  assert.deepEqual(steps, ['a asleep', 'b asleep'])
})

test('a machine with enough memory steps nobody down', async () => {
  unused('a', 60)
  await clock.advance(10 * MINUTE)
  assert.deepEqual([steps, pressure.isShort], [[], false])
})
