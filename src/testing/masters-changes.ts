import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { readLines } from '../lib/http/api/events.ts'
import { Journal } from '../master/journal.ts'
import type { Storage } from '../master/storage/storage.ts'
import { CHANGES_LOOKED_FOR_EVERY } from '../model/intervals.ts'
import { HandClock } from './clock.ts'
import { countingStorage } from './counting-storage.ts'
import { type TestMaster, testMaster } from './masters.ts'
import type { MastersEnvironment } from './masters-environment.ts'
import { silentLog } from './silent-log.ts'
import { until } from './wire.ts'

type Change = { app: string; revision: number | null }

/** A master, and the events that a listener of its stream has received. */
class Listened implements AsyncDisposable {
  readonly clock: HandClock
  readonly master: TestMaster
  readonly lines: string[] = []
  hasEnded = false
  readonly #leaving = new AbortController()

  private constructor(master: TestMaster, clock: HandClock) {
    this.master = master
    this.clock = clock
  }

  static async on(storage: Storage): Promise<Listened> {
    const clock = new HandClock()
    const listened = new Listened(await testMaster(storage, clock), clock)
    await listened.listen()
    await listened.look() // the first one reads the state that later ones compare with
    return listened
  }

  async listen(): Promise<void> {
    const { body } = await this.master.admin.raw('changes', { signal: this.#leaving.signal })
    this.hasEnded = false
    void this.#read(body)
    await until(() => this.lines.includes(': hello'))
  }

  get events(): Change[] {
    return this.lines.filter(line => line.startsWith('data: ')).map(line => JSON.parse(line.slice(6)))
  }

  eventsOf(app: string): Change[] {
    return this.events.filter(event => event.app === app)
  }

  get checks(): number {
    return this.lines.filter(line => line === ': checked').length
  }

  /** Lets the master look for changes once; resolves when it has sent what it found. */
  async look(): Promise<void> {
    const before = this.checks
    await this.clock.advance(CHANGES_LOOKED_FOR_EVERY)
    await until(() => this.checks > before || this.hasEnded)
  }

  /** Fails unless the last event of the app, after a look, has this revision. */
  async hears(app: string, revision: number | null): Promise<void> {
    await this.look()
    assert.equal(this.eventsOf(app).at(-1)?.revision, revision, `events: ${JSON.stringify(this.events)}`)
  }

  async #read(body: IncomingMessage): Promise<void> {
    try {
      for await (const line of readLines(body)) this.lines.push(line)
    } catch {
      // the other side ended it
    }
    this.hasEnded = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort()
    await this.master[Symbol.asyncDispose]()
  }
}

/** Every master sends a change that was made through another one when it looks next. */
export function describeChanges(masters: MastersEnvironment): void {
  test('whatever is changed through one master, the stream of another tells of it at its next look', async () => {
    await using one = await Listened.on(await masters.open())
    await using other = await testMaster(await masters.open())
    const app = masters.fresh('seen')
    await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
    await one.hears(app, 1)
    await other.admin.call('updateApp', { params: { app }, body: { image: 'y' } })
    await one.hears(app, 2)
    const before = one.eventsOf(app).length
    await other.admin.call('setAccess', { params: { app }, body: { deny: ['203.0.113.7'] } })
    await one.hears(app, 2)
    assert.equal(one.eventsOf(app).length, before + 1)
    await other.admin.call('removeApp', { params: { app } })
    await one.hears(app, null)
  })

  for (const hours of [3, -3])
    test(`the wall clock of a master says nothing of it, were it wrong by ${hours} hours`, async () => {
      await using one = await Listened.on(await masters.open())
      one.clock.setWall(hours * 3_600_000)
      await using other = await testMaster(await masters.open())
      const app = masters.fresh('skewed')
      await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
      await one.hears(app, 1)
      await one.master.admin.call('updateApp', { params: { app }, body: { image: 'y' } })
      const { updatedAt } = await other.admin.call('updateApp', { params: { app }, body: { image: 'z' } })
      await one.hears(app, 3)
      const { updatedAt: later } = await one.master.admin.call('setAccess', {
        params: { app },
        body: { deny: ['203.0.113.7'] },
      })
      assert.ok(later > updatedAt, `${later} > ${updatedAt}: versions of an app are ordered by it`)
    })

  test('what a master wrote that died before it could say so is told', async () => {
    await using one = await Listened.on(await masters.open())
    for (let writes = 0; writes < 6; writes++) {
      const app = masters.fresh('died')
      await masters.dying(writes, new HandClock(), admin =>
        admin.call('registerApp', { body: { name: app, image: 'x' } }),
      )
      const isThere = await one.master.admin.call('getApp', { params: { app } }).then(
        () => true,
        () => false,
      )
      await one.look()
      assert.equal(
        one.events.some(event => event.app === app),
        isThere,
        `${app} after ${writes} writes`,
      )
    }
  })

  test('a write that lands long after it was announced, its answer lost, is told once it is there', async () => {
    await using one = await Listened.on(await masters.open())
    const storage = await masters.open()
    const landing = Promise.withResolvers<void>()
    const landed = Promise.withResolvers<void>()
    const slow: Storage = {
      ...storage,
      create: async (key, value) => {
        if (!key.startsWith('apps/')) return storage.create(key, value)
        void landing.promise.then(() => storage.create(key, value)).then(() => landed.resolve(), landed.reject)
        throw new ShadowError('storage-unreachable', 'its answer is lost')
      },
    }
    await using other = await testMaster(slow)
    const app = masters.fresh('lost')
    await assert.rejects(other.admin.call('registerApp', { body: { name: app, image: 'x' } }))
    await one.look()
    await one.look()
    assert.deepEqual(one.eventsOf(app), [])
    landing.resolve()
    await landed.promise
    await one.hears(app, 1)
    await one.look()
    assert.equal(one.eventsOf(app).length, 1, 'it is told once')
  })

  test('what nobody announced is found by the etags of all apps', async () => {
    await using other = await testMaster(await masters.open())
    const app = masters.fresh('silent')
    await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
    await using one = await Listened.on(await masters.open())
    const storage = await masters.open()
    const key = `apps/${app}.json`
    const { value, etag } = (await storage.get(key))!
    await one.look()
    const before = one.eventsOf(app).length
    await storage.update(key, { ...(value as object), access: { deny: ['203.0.113.7'] } }, etag)
    for (let look = 0; look < 10; look++) await one.look()
    assert.equal(one.eventsOf(app).length, before + 1)
  })

  test('a master that cannot name all that changed sends its listeners away, to come again and ask', async () => {
    await using one = await Listened.on(await masters.open())
    const storage = await masters.open()
    const journal = new Journal({ storage, clock: one.clock, log: silentLog })
    const announcing = journal.over(() => true)
    const changes = Array.from({ length: 210 }, () => announcing.create(`probe/${masters.fresh('many')}.json`, {}))
    await Promise.all(changes)
    await journal.flushed()
    await one.look()
    await until(() => one.hasEnded)
    await one.listen()
    await one.look()
    assert.equal(one.hasEnded, false)
  })

  test('a schedule that is added by one master is told to the others, without a list', async () => {
    await using one = await testMaster(await masters.open())
    const storage = await masters.open()
    const journal = new Journal({ storage, clock: new HandClock(), log: silentLog })
    await journal.look()
    const app = masters.fresh('scheduled')
    await one.admin.call('registerApp', { body: { name: app, image: 'x' } })
    const action = { kind: 'request', path: '/' } as const
    await one.admin.call('addSchedule', { params: { app }, body: { cron: '0 3 * * *', action } })
    // It is told of after it was written, and nobody waits for that.
    for (const told = new Set<string>(); !told.has(`schedules/${app}.json`); await setImmediate())
      for (const key of (await journal.look()).keys) told.add(key)
  })

  test('a journal that was lost is noticed', async () => {
    await using one = await Listened.on(await masters.open())
    await using other = await testMaster(await masters.open())
    const app = masters.fresh('begun')
    await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
    await one.hears(app, 1)
    const storage = await masters.open()
    await storage.remove('changes/journal.json')
    await other.admin.call('updateApp', { params: { app }, body: { image: 'y' } })
    await one.look()
    await until(() => one.hasEnded)
  })

  test('while the store is away a master does not say that it has told all, and tells what it missed when it is back', async () => {
    const storage = await masters.open()
    let away = false
    const get: Storage['get'] = (key, signal) =>
      away ? Promise.reject(new ShadowError('storage-unreachable', 'away')) : storage.get(key, signal)
    await using one = await Listened.on({ ...storage, get })
    await using other = await testMaster(await masters.open())
    const app = masters.fresh('away')
    away = true
    await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
    const before = one.checks
    for (let look = 0; look < 3; look++) await one.clock.advance(CHANGES_LOOKED_FOR_EVERY)
    assert.deepEqual([one.checks, one.eventsOf(app), one.hasEnded], [before, [], false])
    away = false
    await one.hears(app, 1)
  })

  test('a token that was revoked through one master is refused by another after its next look', async () => {
    await using one = await Listened.on(await masters.open())
    await using other = await testMaster(await masters.open())
    const { id, token } = await other.admin.call('createToken', { body: { name: 'a person', role: 'admin' } })
    const ask = () => one.master.http('GET', '/v1/apps', { token })
    assert.equal((await ask()).status, 200)
    await other.admin.call('removeToken', { params: { token: id } })
    await one.look()
    assert.equal((await ask()).status, 401)
  })

  test('at rest a master asks the store about once a second, however many apps there are', async () => {
    await using other = await testMaster(await masters.open())
    for (let app = 0; app < 30; app++)
      await other.admin.call('registerApp', { body: { name: masters.fresh('rest'), image: 'x' } })
    const { storage, calls } = countingStorage(await masters.open())
    await using one = await Listened.on(storage)
    for (let look = 0; look < 25; look++) await one.look() // changes from before are no longer in the journal's window then
    calls.length = 0
    for (let look = 0; look < 100; look++) await one.look()
    // Besides the looks, the listener's token is checked every 30 s.
    const gets = calls.filter(call => call === 'get').length
    assert.ok(gets >= 100 && gets <= 104, `${gets}`)
    // Every 10 s the apps are listed, every 15 s the schedules, every minute the rules of backups.
    const lists = calls.filter(call => call === 'versions').length
    assert.ok(lists >= 10 && lists <= 20, `${lists}`)
    assert.equal(calls.length, gets + lists)
  })

  test('of changes at once through two masters, the streams of both tell all', async () => {
    await using one = await Listened.on(await masters.open())
    await using other = await Listened.on(await masters.open())
    const names = Array.from({ length: 40 }, () => masters.fresh('both'))
    await Promise.all(
      names.map((name, at) => (at % 2 ? one : other).master.admin.call('registerApp', { body: { name, image: 'x' } })),
    )
    for (const each of [one, other]) {
      await each.look()
      assert.deepEqual(
        names.filter(name => !each.events.some(event => event.app === name)),
        [],
      )
    }
  })

  test('a change that is refused is not in the way of those that follow', async () => {
    await using one = await Listened.on(await masters.open())
    await using other = await testMaster(await masters.open())
    const app = masters.fresh('refused')
    await other.admin.call('registerApp', { body: { name: app, image: 'x' } })
    await assert.rejects(other.admin.call('registerApp', { body: { name: app, image: 'x' } }), error =>
      isFailure(error, 'already-exists'),
    )
    await one.hears(app, 1)
  })
}
