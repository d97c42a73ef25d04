import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { aTask } from '../../testing/fake-app.ts'
import { type Parkable, Parking } from './parking.ts'
import { ParkingBudget } from './parking-budget.ts'

type Fake = Parkable & {
  phase: Parkable['phase']
  since: number
  score: number
  isAllowed: boolean
  parked: FakeContainer
}

class FakeContainer {
  isParked = false
  hasFailed = false
  parks = 0
  /** What is waited for before it is parked. */
  gate: Promise<void> = Promise.resolve()
  failure: Error | undefined

  async park(): Promise<void> {
    this.parks += 1
    await this.gate
    if (this.failure !== undefined) throw this.failure
    this.isParked = true
  }

  async drop(): Promise<void> {
    this.isParked = false
  }

  check(): void {}
}

let clock: HandClock
let fakes: Fake[]
let isShort: boolean
let portsLeft: number | undefined

beforeEach(() => {
  clock = new HandClock()
  fakes = []
  isShort = false
  portsLeft = undefined
})

const MIB = 2 ** 20

function aParking(most: number, bytes = 1_024 * MIB): Parking {
  const byId = (id: Fake['id']): Fake => fakes.find(fake => fake.id === id) ?? assert.fail()
  const parking = new Parking({
    most,
    budget: new ParkingBudget({ bytes, portsLeft: async () => portsLeft }),
    instances: () => fakes,
    mustWake: task => assert.ok(byId(instanceId(task.app)).isAllowed),
    isShort: () => isShort,
    records: { score: id => byId(id).score, keep: async () => undefined },
    clock,
    log: noLog,
  })
  parking.start()
  return parking
}

function anApp(name: string, score: number): Fake {
  const id = instanceId(appName(name))
  const task = aTask({ app: appName(name) })
  const fake: Fake = { id, task, phase: 'asleep', since: 0, score, isAllowed: true, parked: new FakeContainer() }
  fakes.push(fake)
  return fake
}

const parked = (): string[] => fakes.filter(({ parked }) => parked.isParked).map(({ id }) => id)
const look = (): Promise<void> => clock.advance(5_000)

describe('the parking of a node', () => {
  test('parks those that are most likely to be woken, one at a time, and no more than it may', async () => {
    aParking(2)
    for (const [name, score] of [
      ['a', 1],
      ['b', 5],
      ['c', 3],
      ['d', 0],
    ] as const)
      anApp(name, score)
    await look()
    assert.deepEqual(parked(), ['b'])
    await look()
    await look()
    assert.deepEqual(parked(), ['b', 'c'])
  })

  test('of none parks none, and leaves alone what a person has parked', async () => {
    aParking(0)
    const byHand = anApp('a', 1)
    await byHand.parked.park()
    anApp('b', 9)
    await look()
    assert.deepEqual(parked(), ['a'])
  })

  test('takes the place of one for another only if that is clearly likelier', async () => {
    aParking(1)
    anApp('a', 3)
    await look()
    const other = anApp('b', 5)
    await look()
    assert.deepEqual(parked(), ['a'])
    other.score = 6
    await look()
    assert.deepEqual(parked(), ['b'])
  })

  test('counts what a person has parked in no one’s place', async () => {
    aParking(1)
    const byHand = anApp('a', 9)
    await byHand.parked.park()
    anApp('b', 1)
    await look()
    assert.deepEqual(parked(), ['a', 'b'])
  })

  test('waits until nothing is woken, and for a moment more', async () => {
    aParking(1)
    const waking = anApp('a', 0)
    anApp('b', 1)
    waking.phase = 'waking'
    await look()
    waking.phase = 'awake'
    waking.since = clock.now() + 3_500
    await look()
    assert.deepEqual(parked(), [])
    await look()
    assert.deepEqual(parked(), ['b'])
  })

  test('parks nothing while it is parking, or while memory is short', async () => {
    aParking(2)
    const first = anApp('a', 2)
    const second = anApp('b', 1)
    const gate = Promise.withResolvers<void>()
    first.parked.gate = gate.promise
    await look()
    await look()
    assert.deepEqual([first.parked.parks, second.parked.parks], [1, 0])
    isShort = true
    gate.resolve()
    await look()
    assert.deepEqual(parked(), ['a'])
    isShort = false
    await look()
    assert.deepEqual(parked(), ['a', 'b'])
  })

  test('unparks what may be woken no more, be it parked by a person', async () => {
    aParking(1)
    const [own, byHand] = [anApp('a', 1), anApp('b', 0)]
    await byHand.parked.park()
    await look()
    assert.deepEqual(parked(), ['a', 'b'])
    own.isAllowed = false
    byHand.isAllowed = false
    await look()
    await look()
    assert.deepEqual(parked(), [])
  })

  test('tries one that cannot be parked again with its next revision, and one that failed after a minute', async () => {
    aParking(2)
    const never = anApp('a', 2)
    const later = anApp('b', 1)
    never.parked.failure = new ShadowError('not-parkable', 'it uses other apps')
    later.parked.failure = new Error('Docker is away')
    await clock.advance(55_000)
    assert.deepEqual([never.parked.parks, later.parked.parks], [1, 1])
    later.parked.failure = undefined
    await clock.advance(20_000)
    assert.deepEqual([parked(), never.parked.parks], [['b'], 1])
    never.parked.failure = undefined
    Object.assign(never, { task: { ...never.task, revision: 2 } })
    await look()
    assert.deepEqual(parked(), ['a', 'b'])
  })

  test('leaves an app alone that failed when its gate was opened, until it is another one', async () => {
    aParking(2)
    const failed = anApp('a', 2)
    failed.parked.hasFailed = true
    await look()
    assert.equal(failed.parked.parks, 0)
    failed.parked.hasFailed = false
    await look()
    assert.deepEqual(parked(), ['a'])
  })

  test('gives back the least likely one for want of memory, and parks none for a while', async () => {
    const parking = aParking(2)
    anApp('a', 1)
    anApp('b', 2)
    await clock.advance(10_000)
    assert.equal(await parking.reclaim(), true)
    assert.deepEqual(parked(), ['b'])
    await clock.advance(290_000)
    assert.deepEqual(parked(), ['b'])
    await clock.advance(20_000)
    assert.deepEqual(parked(), ['a', 'b'])
    await parking.reclaim()
    await parking.reclaim()
    assert.equal(await parking.reclaim(), false)
  })
})

describe('the memory of parked containers', () => {
  test('bounds how many are parked: each counts as 8 MiB', async () => {
    aParking(10, 20 * MIB)
    for (const [name, score] of [
      ['a', 1],
      ['b', 3],
      ['c', 2],
    ] as const)
      anApp(name, score)
    await clock.advance(30_000)
    assert.deepEqual(parked(), ['b', 'c'])
  })

  test('counts those that a person has parked', async () => {
    const parking = aParking(10, 16 * MIB)
    const byHand = anApp('a', 0)
    anApp('b', 1)
    anApp('c', 2)
    await parking.byHand(byHand, () => byHand.parked.park())
    await clock.advance(30_000)
    assert.deepEqual(parked(), ['a', 'c'])
  })

  test('is given to the app that a person parks by the least likely of the others', async () => {
    const parking = aParking(10, 16 * MIB)
    const byHand = anApp('a', 0)
    anApp('b', 1)
    anApp('c', 2)
    await clock.advance(10_000)
    assert.deepEqual(parked(), ['b', 'c'])
    await parking.byHand(byHand, () => byHand.parked.park())
    assert.deepEqual(parked(), ['a', 'c'])
    await clock.advance(30_000)
    assert.deepEqual(parked(), ['a', 'c'])
  })

  test('is told of when a person parks more than it holds, and the last place is given once', async () => {
    const parking = aParking(10, 8 * MIB)
    const [first, second] = [anApp('a', 0), anApp('b', 0)]
    const gate = Promise.withResolvers<void>()
    first.parked.gate = gate.promise
    const parks = [first, second].map(one => parking.byHand(one, () => one.parked.park()))
    gate.resolve()
    const [one, other] = await Promise.allSettled(parks)
    assert.equal(one?.status, 'fulfilled')
    assert.ok(other?.status === 'rejected' && isFailure(other.reason, 'not-parkable'))
    assert.match(other.reason.message, /8MiB for parked apps \(SHADOW_PARKED_MEMORY\)/)
    await parking.byHand(first, () => first.parked.park()) // it has its place
    assert.deepEqual(parked(), ['a'])
  })

  test('of 0 lets nobody park', async () => {
    const parking = aParking(10, 0)
    const app = anApp('a', 1)
    await clock.advance(30_000)
    await assert.rejects(
      parking.byHand(app, () => app.parked.park()),
      { code: 'not-parkable' },
    )
    assert.deepEqual(parked(), [])
  })

  test('is free again after a park by hand that failed', async () => {
    const parking = aParking(0, 8 * MIB)
    const [first, second] = [anApp('a', 0), anApp('b', 0)]
    first.parked.failure = new Error('Docker is away')
    await assert.rejects(
      parking.byHand(first, () => first.parked.park()),
      first.parked.failure,
    )
    await parking.byHand(second, () => second.parked.park())
    assert.deepEqual(parked(), ['b'])
  })
})

describe('the ports of the network', () => {
  test('are kept for wakes: with 128 left, nothing is parked, be it by hand', async () => {
    const parking = aParking(10)
    const app = anApp('a', 1)
    portsLeft = 128
    await look()
    assert.deepEqual(parked(), [])
    await assert.rejects(
      parking.byHand(app, () => app.parked.park()),
      { code: 'addresses-full' },
    )
    portsLeft = 129
    await look()
    assert.deepEqual(parked(), ['a'])
  })

  test('are given back by the least likely ones when wakes have taken most of the rest', async () => {
    aParking(10)
    for (const [name, score] of [
      ['a', 1],
      ['b', 3],
      ['c', 2],
    ] as const)
      anApp(name, score)
    await clock.advance(15_000)
    portsLeft = 64
    await look()
    assert.deepEqual(parked(), ['a', 'b', 'c'])
    portsLeft = 62
    await look()
    assert.deepEqual(parked(), ['b'])
  })
})
