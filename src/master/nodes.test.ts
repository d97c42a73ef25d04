import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
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
      await assert.rejects(other.announce(name, second), error => isFailure(error, 'bad-input'))
      await wrong.advance(NODE_LOST_AFTER)
      await other.announce(name, second)
    })
  })
