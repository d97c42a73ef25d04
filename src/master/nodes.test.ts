import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { newSealKey, Seals, sealKeys } from '../lib/seals.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { nodeRecords } from './nodes.ts'
import { directory } from './storage/directory.ts'

const HOURS = 3_600_000
const name = nodeName('n1')
const said = { address: '10.0.0.1:8081', cpus: 2, memoryBytes: 1e9, cpuUtilization: 0, memoryUtilization: 0, awake: 0 }
const first = { ...said, key: 'key-of-the-first-machine', controlKey: 'control-of-the-first-machine' }

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-nodes-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

const seals = new Seals(sealKeys(newSealKey()))
const aMaster = async (clock: HandClock) => nodeRecords({ storage: await directory({ path }), clock, seals })

for (const ms of [3 * HOURS, -3 * HOURS])
  describe(`the wall clock of one master is wrong by ${ms / HOURS} hours`, () => {
    test('a node that speaks is there for both, and one that is silent for neither', async () => {
      const [clock, wrong] = [new HandClock(), new HandClock()]
      wrong.setWall(ms)
      const [one, other] = [await aMaster(clock), await aMaster(wrong)]
      const names = () => Promise.all([one, other].map(async master => (await master.list()).map(node => node.name)))
      await one.announce(name, first)
      assert.deepEqual(await names(), [[name], [name]])
      await other.announce(name, first)
      assert.deepEqual(await names(), [[name], [name]])
      for (const each of [clock, wrong]) await each.advance(NODE_LOST_AFTER - 1)
      assert.deepEqual(await names(), [[name], [name]])
      for (const each of [clock, wrong]) await each.advance(1)
      assert.deepEqual(await names(), [[], []])
      await one.announce(name, first)
      assert.deepEqual(await names(), [[name], [name]])
    })

    test('a clock that is set while a node speaks changes nothing', async () => {
      const clock = new HandClock()
      const master = await aMaster(clock)
      await master.announce(name, first)
      clock.setWall(ms)
      assert.equal((await master.list()).length, 1)
      await clock.advance(NODE_LOST_AFTER)
      assert.equal((await master.list()).length, 0)
    })

    test('another machine may not take the name while the first speaks, and may once it is silent', async () => {
      const [clock, wrong] = [new HandClock(), new HandClock()]
      wrong.setWall(ms)
      const [one, other] = [await aMaster(clock), await aMaster(wrong)]
      await one.announce(name, first)
      const second = {
        ...said,
        address: '10.0.0.2:8081',
        key: 'key-of-the-second-machine',
        controlKey: 'control-of-the-second',
      }
      await assert.rejects(other.announce(name, second), error => isFailure(error, 'name-taken'))
      await wrong.advance(NODE_LOST_AFTER)
      await other.announce(name, second)
    })
  })

describe('a copy of the data folder of a node that still runs', () => {
  const original = { ...first, boot: 'boot-1' }
  const copy = { ...first, boot: 'boot-2' }
  const taken = (error: unknown): boolean =>
    isFailure(error, 'name-taken') && /another machine, at 10.0.0.1:8081, is the node n1/.test(error.message)

  test('is not the node, at any master, though it has its keys; once the node is silent, it is', async () => {
    const clock = new HandClock()
    const [one, other] = [await aMaster(clock), await aMaster(clock)]
    await one.announce(name, original)
    for (const master of [one, other]) {
      await assert.rejects(master.announce(name, copy), taken)
      await assert.rejects(master.mustBeBoot(name, copy.boot), taken)
      await master.mustBeBoot(name, original.boot)
    }
    await clock.advance(NODE_LOST_AFTER)
    await other.mustBeBoot(name, copy.boot)
    await other.announce(name, copy)
    await assert.rejects(one.announce(name, original), taken)
  })

  test('is the node at a master that wrote of the original before, too, once another master took it', async () => {
    const clock = new HandClock()
    const [one, other] = [await aMaster(clock), await aMaster(clock)]
    await one.announce(name, original)
    await other.get(name)
    await clock.advance(NODE_LOST_AFTER)
    await other.announce(name, copy)
    assert.deepEqual(
      (await one.list()).map(({ boot }) => boot),
      [copy.boot],
    )
    await one.mustBeBoot(name, copy.boot)
    await assert.rejects(one.mustBeBoot(name, original.boot), taken)
  })

  test('a node that is started again in the same boot is the same, whatever its address and version', async () => {
    const master = await aMaster(new HandClock())
    await master.announce(name, original)
    await master.announce(name, { ...original, address: '10.0.0.9:8081' })
    await master.announce(name, first) // an earlier version says no boot
  })
})

test('a node whose clock is an hour off is listed with it, and one that is a minute off at most is not', async () => {
  const clock = new HandClock()
  const master = await aMaster(clock)
  const at = (ahead: number) => new Date(clock.wall() + ahead).toISOString()
  for (const [ahead, listed] of [
    [HOURS, HOURS],
    [-HOURS, -HOURS],
    [60_000, undefined],
    [0, undefined],
  ] as const) {
    await master.announce(name, { ...first, at: at(ahead) })
    assert.equal((await master.get(name)).clockAheadMs, listed)
    assert.equal((await master.get(name)).state, 'healthy')
  }
})

test('a node whose announcements cannot be stored is there while it speaks to this master, and gone when it is silent', async () => {
  const clock = new HandClock()
  const storage = await directory({ path })
  let isFull = false
  const update: typeof storage.update = (...given) =>
    isFull ? Promise.reject(new ShadowError('disk-full', 'no space')) : storage.update(...given)
  const master = nodeRecords({ storage: { ...storage, update }, clock, seals })
  await master.announce(name, first)
  isFull = true
  for (let said = 0; said < 3; said++) {
    await clock.advance(NODE_LOST_AFTER - 1)
    await assert.rejects(master.announce(name, first), error => isFailure(error, 'disk-full'))
    assert.deepEqual(
      (await master.list()).map(({ state }) => state),
      ['healthy'],
    )
  }
  await assert.rejects(master.announce(name, { ...first, key: 'key-of-another-machine', address: '10.0.0.2:8081' }))
  await clock.advance(NODE_LOST_AFTER)
  assert.deepEqual(await master.list(), [])
})
