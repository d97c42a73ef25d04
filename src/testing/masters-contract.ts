import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'
import { HandClock } from './clock.ts'
import { dyingStorage } from './dying-storage.ts'
import { type TestMaster, testMaster } from './masters.ts'

const RACERS = 20
const MOST_WRITES = 8

/** What several masters on one storage owe each other; `open` gives a client of the same store at each call. */
export function describeMasters(name: string, open: () => Promise<Storage>, skip: string | false = false): void {
  describe.skipIf(skip !== false)(
    `masters on ${name}${skip === false ? '' : ` (skipped: ${skip})`}`,
    { timeout: 120_000 },
    () => {
      let count = 0
      const fresh = (what: string): string => `${what}-${Date.now().toString(36)}-${count++}`

      const two = async (run: (one: TestMaster, other: TestMaster) => Promise<void>): Promise<void> => {
        await using one = await testMaster(await open())
        await using other = await testMaster(await open())
        await run(one, other)
        await allAgree(one.admin)
      }

      /** Who of the racers succeeded; the others failed with one of the codes. */
      const race = async (
        masters: readonly TestMaster[],
        run: (admin: MasterClient, racer: number) => Promise<unknown>,
        ...codes: FailureCode[]
      ): Promise<number[]> => {
        const runs = Array.from({ length: RACERS }, (_, racer) => run(masters[racer % masters.length]!.admin, racer))
        const results = await Promise.allSettled(runs)
        return results.flatMap((result, racer) => {
          if (result.status === 'fulfilled') return racer
          if (!isFailure(result.reason, ...codes)) throw result.reason
          return []
        })
      }

      test('of many who register one name, each with its own domain, one wins and the domains of the others are free', () =>
        two(async (one, other) => {
          const [app, domain] = [fresh('name'), fresh('own')]
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('registerApp', { body: { name: app, image: 'x', domains: [`${domain}-${racer}.example`] } }),
            'already-exists',
          )
          assert.equal(winners.length, 1)
          const { domains } = await other.admin.call('getApp', { params: { app } })
          assert.deepEqual(domains, [`${domain}-${winners[0]}.example`])
          const free = Array.from({ length: RACERS }, (_, racer) => racer).filter(racer => racer !== winners[0])
          await Promise.all(
            free.map(racer =>
              other.admin.call('registerApp', {
                body: { name: `${app}-${racer}`, image: 'x', domains: [`${domain}-${racer}.example`] },
              }),
            ),
          )
        }))

      test('of many who register one domain under different names, one wins', () =>
        two(async (one, other) => {
          const [app, domain] = [fresh('many'), `${fresh('one')}.example`]
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('registerApp', { body: { name: `${app}-${racer}`, image: 'x', domains: [domain] } }),
            'domain-taken',
          )
          assert.equal(winners.length, 1)
          assert.equal(
            (await other.admin.call('getHost', { params: { hostname: domain } })).name,
            `${app}-${winners[0]}`,
          )
        }))

      test('of many who register one name and one domain, one wins', () =>
        two(async (one, other) => {
          const [app, domain] = [fresh('same'), `${fresh('same')}.example`]
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('registerApp', {
                body: { name: app, image: 'x', domains: [domain], env: { RACER: `${racer}` } },
              }),
            'already-exists',
          )
          assert.equal(winners.length, 1)
          const found = await other.admin.call('getHost', { params: { hostname: domain } })
          assert.deepEqual(found.task.env, { RACER: `${winners[0]}` })
        }))

      test('a domain that one loses with its name is not lost to the others: name and domain have one winner each', () =>
        two(async (one, other) => {
          const [app, domain] = [fresh('cross'), `${fresh('cross')}.example`]
          const names = (racer: number): string => `${app}-${racer % 4}`
          const wantsDomain = (racer: number): boolean => racer % 3 !== 0
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('registerApp', {
                body: {
                  name: names(racer),
                  image: 'x',
                  domains: wantsDomain(racer) ? [domain] : [`${names(racer)}.example`],
                },
              }),
            'already-exists',
            'domain-taken',
          )
          assert.equal(new Set(winners.map(names)).size, winners.length)
          assert.ok(winners.filter(wantsDomain).length <= 1)
        }))

      test('of many who add one domain to their apps, one wins', () =>
        two(async (one, other) => {
          const [app, domain] = [fresh('add'), `${fresh('add')}.example`]
          await Promise.all(
            Array.from({ length: RACERS }, (_, racer) =>
              one.admin.call('registerApp', { body: { name: `${app}-${racer}`, image: 'x' } }),
            ),
          )
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('updateApp', {
                params: { app: `${app}-${racer}` },
                body: { domains: [`${app}-${racer}.localhost`, domain] },
              }),
            'domain-taken',
          )
          assert.equal(winners.length, 1)
        }))

      test('patches of different fields at once are all there in the end, each a revision of its own', () =>
        two(async (one, other) => {
          const app = fresh('patched')
          await one.admin.call('registerApp', { body: { name: app, image: 'x' } })
          await Promise.all(
            Array.from({ length: 8 }, (_, racer) =>
              (racer % 2 ? one : other).admin.call('updateApp', {
                params: { app },
                body: { env: { [`V${racer}`]: 'set' } },
              }),
            ),
          )
          const { task } = await one.admin.call('getApp', { params: { app } })
          assert.equal(Object.keys(task.env).length, 8)
          const { items } = await other.admin.call('listTasks', { params: { app } })
          assert.deepEqual(
            items.map(({ revision }) => revision),
            [9, 8, 7, 6, 5, 4, 3, 2, 1],
          )
        }))

      test('of many updates of one version that name it, one wins', () =>
        two(async (one, other) => {
          const app = fresh('matched')
          await one.admin.call('registerApp', { body: { name: app, image: 'x' } })
          const etag = (await one.http('GET', `/v1/apps/${app}`)).headers.get('etag')!
          const winners = await race(
            [one, other],
            (admin, racer) =>
              admin.call('updateApp', {
                params: { app },
                body: { env: { RACER: `${racer}` } },
                headers: { 'if-match': etag },
              }),
            'changed',
          )
          assert.equal(winners.length, 1)
        }))

      test('of many nodes that ask for the lease of one volume, one gets it and the others are told which', () =>
        two(async (one, other) => {
          const app = fresh('leased')
          await one.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '1GiB' } } })
          const winners = await race(
            [one, other],
            (admin, racer) => admin.call('leaseVolume', { params: { volume: app }, body: { node: `node-${racer}` } }),
            'volume-elsewhere',
          )
          assert.equal(winners.length, 1)
          const { lease } = await one.admin.call('getVolume', { params: { volume: app } })
          assert.deepEqual(lease, { node: `node-${winners[0]}`, epoch: 1, until: null })
        }))

      test('a master that dies after any write of a registration keeps nobody from registering', async () => {
        for (let writes = 0; writes < MOST_WRITES; writes++) {
          const clock = new HandClock(Date.now())
          const [app, rival, domain] = [fresh('died'), fresh('rival'), `${fresh('died')}.example`]
          const body = { name: app, image: 'x', domains: [domain, `www.${domain}`], volume: { size: '1GiB' } }
          await dying(writes, clock, admin => admin.call('registerApp', { body }))
          await using healthy = await testMaster(await open(), clock)
          const done = await exists(healthy.admin, app)
          if (done) await rejectsWith('already-exists', healthy.admin.call('registerApp', { body }))
          else if (writes % 2) await healthy.admin.call('registerApp', { body })
          else {
            // Another app than the one it was registered for may have its domains, once it is sure that nobody comes back.
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
          const [app, old, next] = [fresh('changed'), `${fresh('old')}.example`, `${fresh('next')}.example`]
          await using healthy = await testMaster(await open(), clock)
          await healthy.admin.call('registerApp', { body: { name: app, image: 'x', domains: [old] } })
          const patch = { domains: [next], volume: { size: '1GiB' } }
          await dying(writes, clock, admin => admin.call('updateApp', { params: { app }, body: patch }))
          const { domains, task } = await healthy.admin.call('getApp', { params: { app } })
          assert.deepEqual([domains, task.revision], task.revision === 1 ? [[old], 1] : [[next], 2])
          const updated = await healthy.admin.call('updateApp', { params: { app }, body: patch })
          assert.equal(updated.task.revision, 2)
          assert.equal((await healthy.admin.call('getVolume', { params: { volume: app } })).size, '1GiB')
          await clock.advance(60_000)
          await healthy.admin.call('registerApp', { body: { name: fresh('heir'), image: 'x', domains: [old] } })
          await allAgree(healthy.admin)
        }
      })

      test('a master that dies after any write of a removal leaves the app or none, and the name and its domain can be had again', async () => {
        for (let writes = 0; writes < MOST_WRITES; writes++) {
          const clock = new HandClock(Date.now())
          const [app, domain] = [fresh('removed'), `${fresh('removed')}.example`]
          const body = { name: app, image: 'x', domains: [domain], volume: { size: '1GiB' } }
          await using healthy = await testMaster(await open(), clock)
          await healthy.admin.call('registerApp', { body })
          await healthy.admin.call('updateApp', { params: { app }, body: { env: { A: 'secret' } } })
          await dying(writes, clock, admin => admin.call('removeApp', { params: { app } }))
          await healthy.admin.call('removeApp', { params: { app } }).catch(error => {
            if (!isFailure(error, 'app-not-found')) throw error
          })
          assert.equal(await exists(healthy.admin, app), false)
          assert.deepEqual(await (await open()).list(`tasks/${app}/`), [])
          await clock.advance(60_000)
          await healthy.admin.call('registerApp', { body: { name: fresh('heir'), image: 'x', domains: [domain] } })
          const again = await healthy.admin.call('registerApp', { body: { ...body, domains: [] } })
          assert.equal(again.task.revision, 3, 'no revision of a name is given twice')
          await allAgree(healthy.admin)
        }
      })

      /** A master that dies after so many writes of this call. */
      async function dying(
        writes: number,
        clock: HandClock,
        run: (admin: MasterClient) => Promise<unknown>,
      ): Promise<void> {
        const storage = await open()
        let current: Storage = storage
        const bound: Storage = {
          name: storage.name,
          close: () => storage.close(),
          get: (...args) => current.get(...args),
          list: (...args) => current.list(...args),
          create: (...args) => current.create(...args),
          update: (...args) => current.update(...args),
          remove: (...args) => current.remove(...args),
        }
        await using master = await testMaster(bound, clock)
        await master.admin.call('listTokens', {}) // its token is known to it now
        current = dyingStorage(storage, writes)
        await run(master.admin).catch(error => {
          if (!isFailure(error, 'storage-unreachable')) throw error
        })
      }
    },
  )
}

/** No two apps have one domain, and every domain leads to the app that has it. */
async function allAgree(admin: MasterClient): Promise<void> {
  const { items } = await admin.call('listApps', { query: { limit: 1000 } })
  const owners = new Map<string, string>()
  for (const { name, domains } of items)
    for (const domain of domains) {
      assert.equal(owners.get(domain), undefined, `${domain} is of ${owners.get(domain)} and of ${name}`)
      owners.set(domain, name)
    }
  for (const [hostname, name] of owners)
    assert.equal((await admin.call('getHost', { params: { hostname } })).name, name)
}

const exists = (admin: MasterClient, app: string): Promise<boolean> =>
  admin.call('getApp', { params: { app } }).then(
    () => true,
    error => {
      if (isFailure(error, 'app-not-found')) return false
      throw error
    },
  )

async function rejectsWith(code: FailureCode, deed: Promise<unknown>): Promise<void> {
  await assert.rejects(deed, error => isFailure(error, code))
}
