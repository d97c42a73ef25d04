import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { hold, InstanceEnvironment, release, settled } from '../testing/instance-environment.ts'

const HOURS = 3_600_000

for (const ms of [3 * HOURS, -3 * HOURS])
  describe(`the wall clock of the node is set by ${ms / HOURS} hours`, () => {
    test('an app that is awake sleeps after its idle time, no sooner and no later, and tells when by the new time', async () => {
      const environment = new InstanceEnvironment()
      const { clock } = environment
      const instance = environment.anInstance()
      release(await hold(instance))
      await clock.advance(200_000)
      clock.setWall(ms)
      assert.equal(instance.view().sleepsAt, new Date(clock.wall() + 100_000).toISOString())
      assert.equal(instance.view().since, new Date(clock.wall() - 200_000).toISOString())
      await clock.advance(99_999)
      assert.equal(instance.phase, 'awake')
      await clock.advance(1)
      assert.equal(instance.phase, 'asleep')
    })

    test('the rest after crashes is as long as it was', async () => {
      const environment = new InstanceEnvironment()
      const { clock, runtime } = environment
      environment.slowReady()
      const instance = environment.anInstance()
      runtime.onStart = container => runtime.end(container, { exitCode: 1, outOfMemory: false })
      for (let i = 0; i < 3; i++) {
        await assert.rejects(hold(instance))
        await settled()
      }
      clock.setWall(ms)
      assert.equal(instance.view().retryAt, new Date(clock.wall() + 1_000).toISOString())
      await clock.advance(999)
      const before = runtime.count('start')
      await assert.rejects(hold(instance), /crash loop/)
      await clock.advance(1)
      await assert.rejects(hold(instance))
      assert.equal(runtime.count('start'), before + 1)
    })
  })
