import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import { HandClock } from './clock.ts'
import { testMaster } from './masters.ts'
import { allAgree, exists, type MastersEnvironment } from './masters-environment.ts'

const MOST_WRITES = 8

/** A master that dies during a call leaves nothing that hinders another call. */
export function describeDeaths(masters: MastersEnvironment): void {
  test('a master that dies after any write of a registration keeps nobody from registering', async () => {
    for (let writes = 0; writes < MOST_WRITES; writes++) {
      const clock = new HandClock(Date.now())
      const [app, rival, domain] = [masters.fresh('died'), masters.fresh('rival'), `${masters.fresh('died')}.example`]
      const body = { name: app, image: 'x', domains: [domain, `www.${domain}`], volume: { size: '1GiB' } }
      await masters.dying(writes, clock, admin => admin.call('registerApp', { body }))
      await using healthy = await testMaster(await masters.open(), clock)
      const done = await exists(healthy.admin, app)
      if (done) await rejectsWith('already-exists', healthy.admin.call('registerApp', { body }))
      else if (writes % 2) await healthy.admin.call('registerApp', { body })
      else {
        // Another app may take the domains once it is certain that their claim is no longer used.
        await clock.advance(60_000)
        await healthy.admin.call('registerApp', { body: { ...body, name: rival } })
      }
      const owner = done || writes % 2 ? app : rival
      for (const hostname of [domain, `www.${domain}`])
        assert.equal((await healthy.admin.call('getHost', { params: { hostname } })).name, owner)
      assert.equal((await healthy.admin.call('getVolume', { params: { volume: owner } })).app, owner)
      await healthy.admin.call('leaseVolume', { params: { volume: owner }, body: { node: 'node-1' } })
      await allAgree(healthy.admin)
    }
  })

  test('a master that dies after any write of an update leaves the old app or the new one, and the update can be repeated', async () => {
    for (let writes = 0; writes < MOST_WRITES; writes++) {
      const clock = new HandClock(Date.now())
      const [app, old, next] = [
        masters.fresh('changed'),
        `${masters.fresh('old')}.example`,
        `${masters.fresh('next')}.example`,
      ]
      await using healthy = await testMaster(await masters.open(), clock)
      await healthy.admin.call('registerApp', { body: { name: app, image: 'x', domains: [old] } })
      const patch = { domains: [next], volume: { size: '1GiB' } }
      await masters.dying(writes, clock, admin => admin.call('updateApp', { params: { app }, body: patch }))
      const { domains, task } = await healthy.admin.call('getApp', { params: { app } })
      assert.deepEqual([domains, task.revision], task.revision === 1 ? [[old], 1] : [[next], 2])
      const updated = await healthy.admin.call('updateApp', { params: { app }, body: patch })
      assert.equal(updated.task.revision, 2)
      assert.equal((await healthy.admin.call('getVolume', { params: { volume: app } })).size, '1GiB')
      await clock.advance(60_000)
      await healthy.admin.call('registerApp', { body: { name: masters.fresh('heir'), image: 'x', domains: [old] } })
      await allAgree(healthy.admin)
    }
  })

  test('a master that dies after any write of a removal leaves the app or none, and the name and its domain can be had again', async () => {
    for (let writes = 0; writes < MOST_WRITES; writes++) {
      const clock = new HandClock(Date.now())
      const [app, domain] = [masters.fresh('removed'), `${masters.fresh('removed')}.example`]
      const body = { name: app, image: 'x', domains: [domain], volume: { size: '1GiB' } }
      await using healthy = await testMaster(await masters.open(), clock)
      await healthy.admin.call('registerApp', { body })
      await healthy.admin.call('updateApp', { params: { app }, body: { env: { A: 'secret' } } })
      await masters.dying(writes, clock, admin => admin.call('removeApp', { params: { app } }))
      await healthy.admin.call('removeApp', { params: { app } }).catch(error => {
        if (!isFailure(error, 'app-not-found')) throw error
      })
      assert.equal(await exists(healthy.admin, app), false)
      assert.deepEqual(await (await masters.open()).list(`tasks/${app}/`), [])
      await clock.advance(60_000)
      await healthy.admin.call('registerApp', { body: { name: masters.fresh('heir'), image: 'x', domains: [domain] } })
      const again = await healthy.admin.call('registerApp', { body: { ...body, domains: [] } })
      assert.equal(again.task.revision, 3, 'no revision of a name is given twice')
      await allAgree(healthy.admin)
    }
  })
}

async function rejectsWith(code: FailureCode, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, error => isFailure(error, code))
}
