import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { HoldRequest } from '../../model/instance.ts'
import { appOf, type InstanceId, instanceId } from '../../model/instance-id.ts'
import { type AppName, appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { anApp, aTask } from '../../testing/fake-app.ts'
import { Companions } from './companions.ts'

const [blog, db, cache] = ['blog', 'db', 'cache'].map(appName) as [AppName, AppName, AppName]
const BLOG = instanceId(blog)
const { signal } = new AbortController()
const using = (...uses: AppName[]) => aTask({ app: blog, uses })

let clock: HandClock
let companions: Companions
/** The holds that there are: `db for blog`. */
let held: { readonly on: AppName; readonly request: HoldRequest }[]
/** What happened: holds that were asked for. */
let asked: AppName[]
let fails: Map<AppName, ShadowError>
let lost: InstanceId[]
let apps: Map<AppName, App>

beforeEach(() => {
  clock = new HandClock()
  held = []
  asked = []
  lost = []
  fails = new Map()
  apps = new Map([[blog, { ...anApp(), permits: { db: 'permit of db' } }]])
  companions = new Companions({
    hold: async (instance, request) => {
      const on = appOf(instance)
      asked.push(on)
      const error = fails.get(on)
      if (error !== undefined) throw error
      const one = { on, request }
      held.push(one)
      const leave = (): void => {
        assert.ok(held.includes(one), 'a hold is released once')
        held.splice(held.indexOf(one), 1)
      }
      return { address: '', headers: {}, [Symbol.dispose]: leave }
    },
    known: app => apps.get(app),
    onLost: instance => void lost.push(instance),
    clock,
    log: noLog,
  })
})

async function failureOf(promise: Promise<unknown>): Promise<ShadowError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ShadowError)
  return error
}

const holds = (): AppName[] => held.map(({ on }) => on)

test('companions are held one after the other, for whom and with the permit that the master gave, until the app leaves', async () => {
  await companions.take(BLOG, using(db, cache), signal)
  assert.deepEqual(asked, [db, cache])
  const [first] = held
  assert.deepEqual(
    [first?.request.kind, first?.request.what, first?.request.permit, first?.request.mayWake],
    ['companion', 'blog', 'permit of db', true],
  )
  await companions.take(BLOG, using(db, cache), signal)
  assert.deepEqual(holds(), [db, cache])
  companions.leave(BLOG)
  assert.deepEqual(holds(), [])
})

test('the second is not woken where the first one fails, and its failure is no crash of the app', async () => {
  fails.set(db, new ShadowError('app-crashed', 'it ended with exit code 1'))
  const error = await failureOf(companions.take(BLOG, using(db, cache), signal))
  assert.deepEqual(
    [error.code, error.message, error.details.hint],
    ['companion-not-ready', 'blog uses db, which is not awake: it ended with exit code 1', 'shadow why db'],
  )
  assert.deepEqual(asked, [db])
})

for (const code of ['volume-elsewhere', 'no-memory', 'node-cordoned'] as const)
  test(`where it fails with ${code}, a front can try another node`, async () => {
    fails.set(db, new ShadowError(code, 'not here', { facts: { node: 'n2' } }))
    const error = await failureOf(companions.take(BLOG, using(db), signal))
    assert.deepEqual([error.code, error.details.facts], [code, { node: 'n2' }])
  })

test('one that begins to stop is let go of at once, and is held again', async () => {
  await companions.take(BLOG, using(db), signal)
  held[0]?.request.goAway?.()
  assert.deepEqual(holds(), [])
  assert.deepEqual(companions.viewOf(BLOG), [{ app: db, isHeld: false }])
  await clock.advance(0)
  assert.deepEqual(holds(), [db])
  assert.deepEqual(companions.viewOf(BLOG), [{ app: db, isHeld: true }])
})

test('one that cannot be had again is tried for as long as the app is awake, and says why', async () => {
  await companions.take(BLOG, using(db), signal)
  fails.set(db, new ShadowError('app-crashed', 'it ended'))
  held[0]?.request.goAway?.()
  await clock.advance(0)
  assert.deepEqual(companions.viewOf(BLOG), [{ app: db, isHeld: false, problem: 'it ended' }])
  await clock.advance(60_000)
  assert.ok(asked.length > 5)
  assert.deepEqual(lost, [])
  fails.clear()
  await clock.advance(30_000)
  assert.deepEqual(companions.viewOf(BLOG), [{ app: db, isHeld: true }])
  companions.leave(BLOG)
  fails.set(db, new ShadowError('app-crashed', 'it ended'))
  const before = asked.length
  await clock.advance(300_000)
  assert.equal(asked.length, before)
})

test('one whose volume has gone to another node makes the app sleep, so that it wakes there', async () => {
  await companions.take(BLOG, using(db), signal)
  fails.set(db, new ShadowError('volume-elsewhere', 'the node n2 has the volume'))
  held[0]?.request.goAway?.()
  await clock.advance(0)
  assert.deepEqual(lost, [BLOG])
  companions.leave(BLOG)
})

test('after a switch, those that no release uses are let go of', async () => {
  await companions.take(BLOG, using(db), signal)
  await companions.take(BLOG, using(cache), signal)
  companions.keep(BLOG, [using(cache), using(db)])
  assert.deepEqual(holds(), [db, cache])
  companions.keep(BLOG, [using(cache)])
  assert.deepEqual(holds(), [cache])
})

test('the companions of an app that an earlier run left awake are held again', async () => {
  companions.adopt(BLOG, using(db))
  await clock.advance(0)
  assert.deepEqual(holds(), [db])
})

test('a circle that two changes made at the same moment is not waited for', async () => {
  const uses = (app: AppName, ...others: AppName[]): App => ({ ...anApp(), task: aTask({ app, uses: others }) })
  apps.set(db, uses(db, cache)).set(cache, uses(cache, blog))
  await assert.rejects(companions.take(BLOG, using(db), signal), {
    code: 'companion-not-ready',
    message: /uses itself/,
  })
  assert.deepEqual(asked, [])
})
