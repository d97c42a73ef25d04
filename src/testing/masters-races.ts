import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type MastersEnvironment, RACERS, race } from './masters-environment.ts'

/** Of several callers that want one thing from several masters at once, exactly one gets it. */
export function describeRaces(masters: MastersEnvironment): void {
  test('of many who register one name, each with its own domain, one wins and the domains of the others are free', () =>
    masters.two(async (one, other) => {
      const [app, domain] = [masters.fresh('name'), masters.fresh('own')]
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
    masters.two(async (one, other) => {
      const [app, domain] = [masters.fresh('many'), `${masters.fresh('one')}.example`]
      const winners = await race(
        [one, other],
        (admin, racer) =>
          admin.call('registerApp', { body: { name: `${app}-${racer}`, image: 'x', domains: [domain] } }),
        'domain-taken',
      )
      assert.equal(winners.length, 1)
      assert.equal((await other.admin.call('getHost', { params: { hostname: domain } })).name, `${app}-${winners[0]}`)
    }))

  test('of many who register one name and one domain, one wins', () =>
    masters.two(async (one, other) => {
      const [app, domain] = [masters.fresh('same'), `${masters.fresh('same')}.example`]
      const winners = await race(
        [one, other],
        (admin, racer) =>
          admin.call('registerApp', {
            body: { name: app, image: 'x', domains: [domain], env: { RACER: `${racer}` } },
          }),
        'already-exists',
      )
      assert.equal(winners.length, 1)
      const { name } = await other.admin.call('getHost', { params: { hostname: domain } })
      const found = await other.admin.call('getApp', { params: { app: name } })
      assert.deepEqual(found.task.env, { RACER: `${winners[0]}` })
    }))

  test('a domain that one loses with its name is not lost to the others: name and domain have one winner each', () =>
    masters.two(async (one, other) => {
      const [app, domain] = [masters.fresh('cross'), `${masters.fresh('cross')}.example`]
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
    masters.two(async (one, other) => {
      const [app, domain] = [masters.fresh('add'), `${masters.fresh('add')}.example`]
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
    masters.two(async (one, other) => {
      const app = masters.fresh('patched')
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
      const { items } = await other.admin.call('listReleases', { params: { app } })
      assert.deepEqual(
        items.map(({ revision }) => revision),
        [9, 8, 7, 6, 5, 4, 3, 2, 1],
      )
    }))

  test('of many updates of one version that name it, one wins', () =>
    masters.two(async (one, other) => {
      const app = masters.fresh('matched')
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
    masters.two(async (one, other) => {
      const app = masters.fresh('leased')
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
}
