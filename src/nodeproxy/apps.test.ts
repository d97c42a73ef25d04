import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { masterClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { openEvents } from '../lib/http/api/events.ts'
import { listen, reply } from '../lib/http/api/request-handler.ts'
import type { Listening } from '../lib/http/listening.ts'
import { noLog } from '../lib/log.ts'
import { newSealKey, Seals, sealKeys } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import {
  MASTER_CALL_IN_WAKE_WITHIN,
  MASTER_CALL_WITHIN,
  POLL_WITHOUT_STREAM_EVERY,
  STREAM_LOST_AFTER,
} from '../model/intervals.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { Apps } from './apps.ts'
import { type Definitions, openDefinitions } from './definitions.ts'
import { followChanges } from './follow-changes.ts'

const first = anApp()
const second = anApp(aTask({ revision: 2 }))
const { name } = first
const seals = new Seals(sealKeys(newSealKey()))

let clock: HandClock
let folder: string
let has: App | undefined
let asked: string[]
let streams: ServerResponse[]
let isSilent: boolean
/** If set, the next answer about an app is computed at once and sent when this resolves. */
let slow: PromiseWithResolvers<void> | undefined
let server: Listening
let newer: number[]
let removed: string[]
/** false: an app that another node has is still awake here. */
let isAsleep: boolean
/** true: the master answers that another node has the app. */
let isElsewhere: boolean
let ending: AbortController

beforeEach(async () => {
  clock = new HandClock()
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-apps-'))
  has = first
  asked = []
  streams = []
  isSilent = false
  slow = undefined
  newer = []
  removed = []
  isAsleep = true
  isElsewhere = false
  ending = new AbortController()
  server = await listen(
    createServer((request, response) => {
      const { url = '', headers } = request
      asked.push(`${url} ${headers['if-none-match'] ?? ''}`.trim())
      if (isSilent) return
      if (slow !== undefined && url !== '/v1/changes') {
        const told = has
        const is = slow
        slow = undefined
        void is.promise.then(() => reply(response, 200, told, { etag: `"${told?.task.revision}"` }))
        return
      }
      if (url === '/v1/changes') {
        streams.push(response)
        sends.set(response, openEvents(response, 60_000))
      } else if (isElsewhere)
        reply(response, 421, new ShadowError('volume-elsewhere', 'n2 has it', { facts: { node: 'n2' } }).toProblem())
      else if (has === undefined || !url.endsWith(`/${has.name}`))
        reply(response, 404, new ShadowError('app-not-found', 'no such app').toProblem())
      else if (headers['if-none-match'] === `"${has.task.revision}"`) response.writeHead(304).end()
      else reply(response, 200, has, { etag: `"${has.task.revision}"` })
    }),
    { host: '127.0.0.1', port: 0 },
  )
})

const sends = new Map<ServerResponse, (event: unknown) => void>()

afterEach(async () => {
  ending.abort()
  await server[Symbol.asyncDispose]()
  for (const keeper of keepers.splice(0)) await keeper.flush()
  await rm(folder, { recursive: true, force: true })
})

const master = () => masterClient({ url: `http://${server.address}`, token: 'any', withinMs: 5_000 })
/** Apps with these names from an earlier run, in addition to the app that the master has. */
async function appsThatKept(...names: string[]): Promise<Apps> {
  const kept = definitions()
  for (const app of names) kept.keep(appName(app), { app: anApp(aTask({ app: appName(app) })), etag: null })
  await kept.flush()
  const apps = someApps()
  await apps.load()
  return apps
}

function definitions(): Definitions {
  const kept = openDefinitions({ folder, seals, log: noLog })
  keepers.push(kept)
  return kept
}
const keepers: Definitions[] = []

function someApps(kept = definitions()): Apps {
  return new Apps({
    master: master(),
    definitions: kept,
    clock,
    log: noLog,
    onNewer: ({ task }) => void newer.push(task.revision),
    onOther: () => undefined,
    onRemoved: app => void removed.push(app),
    onElsewhere: () => isAsleep,
  })
}

async function following(apps: Apps): Promise<void> {
  const options = { master: master(), apps, clock, log: noLog, watched: () => [name] }
  void followChanges({ ...options, onRemoved: app => void removed.push(app) }, ending.signal)
  await until(() => streams.length > 0)
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 2_000) throw new Error(`it never came to: ${holds}`)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

test('an app is asked for once by all who want it at the same time', async () => {
  const apps = someApps()
  const got = await Promise.all(Array.from({ length: 50 }, () => apps.resolve(name)))
  assert.deepEqual(new Set(got.map(app => app.task.revision)), new Set([1]))
  assert.equal(asked.length, 1)
})

test('an app that the master does not know is not found', async () => {
  has = undefined
  await assert.rejects(someApps().resolve(name), error => isFailure(error, 'app-not-found'))
})

test('without a stream each wake asks, by version; what did not change is not sent again', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await apps.resolve(name)
  assert.deepEqual(asked, ['/v1/apps/blog', '/v1/apps/blog "1"'])
  has = second
  assert.equal((await apps.resolve(name)).task.revision, 2)
  assert.deepEqual(newer, [1, 2])
})

test('with the master away the last known definition serves, also after a restart of the node', async () => {
  const kept = definitions()
  const apps = someApps(kept)
  await apps.resolve(name)
  await kept.flush()
  await server[Symbol.asyncDispose]()
  assert.equal((await apps.resolve(name)).task.revision, 1)

  const again = someApps()
  await again.load()
  assert.equal((await again.resolve(name)).task.revision, 1)
})

test('a master that does not answer is waited for no longer than a wake can bear', async () => {
  const apps = someApps()
  await apps.resolve(name)
  isSilent = true
  const resolving = apps.resolve(name)
  await until(() => asked.length === 2)
  await clock.advance(MASTER_CALL_IN_WAKE_WITHIN)
  assert.equal((await resolving).task.revision, 1)
})

test('a slow master is waited for longer where nothing is known of the app; one that stays silent is not', async () => {
  isSilent = true
  const resolving = someApps().resolve(name)
  let hasFailed = false
  resolving.catch(() => {
    hasFailed = true
  })
  await until(() => asked.length === 1)
  await clock.advance(MASTER_CALL_WITHIN - 1)
  assert.equal(hasFailed, false)
  await clock.advance(1)
  await assert.rejects(resolving, error => isFailure(error, 'master-unreachable'))
})

test('while the stream is there, what was checked once is trusted and nobody is asked', async () => {
  const apps = someApps()
  await following(apps)
  await until(() => apps.freshness.isOpen)
  await apps.resolve(name)
  const before = asked.length
  for (let i = 0; i < 10; i++) await apps.resolve(name)
  assert.equal(asked.length, before)
})

test('a change that the stream tells of is there at once', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await following(apps)
  has = second
  sends.get(streams[0]!)?.({ app: name, revision: 2, domains: [] })
  await until(() => newer.at(-1) === 2)
  assert.equal(apps.known(name)?.task.revision, 2)
})

test('a change that is told of while the app is asked for the first time is not missed', async () => {
  const apps = someApps()
  await following(apps)
  await until(() => apps.freshness.isOpen)
  const late = Promise.withResolvers<void>()
  slow = late
  const resolving = apps.resolve(name)
  await until(() => slow === undefined)
  has = second
  await apps.refresh(name)
  late.resolve()
  await resolving
  assert.equal((await apps.resolve(name)).task.revision, 2)
})

test('a change that is told of while the app is checked is asked about until it is known', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await following(apps)
  await until(() => apps.freshness.isOpen && apps.unchecked.length === 0)
  await clock.advance(100) // the kept definitions have been checked by then
  const late = Promise.withResolvers<void>()
  slow = late
  const checking = apps.refresh(name)
  await until(() => slow === undefined)
  has = second
  const refreshing = apps.refresh(name)
  isSilent = true
  const before = asked.length
  late.resolve()
  await checking
  await until(() => asked.length > before)
  await clock.advance(MASTER_CALL_IN_WAKE_WITHIN)
  await refreshing
  isSilent = false
  assert.equal((await apps.resolve(name)).task.revision, 2)
})

test('an answer from before the stream began is not trusted under it', async () => {
  const apps = someApps()
  const late = Promise.withResolvers<void>()
  slow = late
  const resolving = apps.resolve(name)
  await until(() => slow === undefined)
  has = second
  await following(apps)
  await until(() => apps.freshness.isOpen)
  late.resolve()
  await resolving
  assert.equal((await apps.resolve(name)).task.revision, 2)
})

test('a removal that the stream tells of is told on', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await following(apps)
  // What runs is asked about when the stream begins, and would be found removed by that too.
  await until(() => apps.freshness.isOpen && apps.unchecked.length === 0)
  has = undefined
  sends.get(streams[0]!)?.({ app: name, revision: null, domains: [] })
  await until(() => removed.length > 0)
  assert.deepEqual(removed, [name])
})

test('what changed while the stream was down is found when it is back, for an app that runs', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await following(apps)
  await apps.resolve(name)
  streams[0]?.destroy()
  await until(() => clock.waiting > 0 && !apps.freshness.isOpen)
  has = second
  await clock.advance(POLL_WITHOUT_STREAM_EVERY)
  await until(() => newer.at(-1) === 2)
})

test('a late message that an app was removed does not remove the one of its name that is known by now', async () => {
  const apps = someApps()
  await following(apps)
  await apps.resolve(name)
  const before = asked.length
  sends.get(streams[0]!)?.({ app: name, revision: null, domains: [] })
  await until(() => asked.length > before)
  await apps.resolve(name)
  assert.deepEqual(removed, [])
})

test('an app that was removed while the node was away is found out, one after the other; one that is still there is kept', async () => {
  const apps = await appsThatKept('gone-a', 'gone-b')
  await apps.resolve(name)
  await following(apps)
  await until(() => apps.freshness.isOpen && apps.unchecked.length === 2) // running apps were checked at once
  for (let wasRemoved = 0; wasRemoved < 2; ) {
    await clock.advance(100)
    await new Promise(resolve => setTimeout(resolve, 20)) // time for an answer, if there was a request
    assert.ok(removed.length - wasRemoved <= 1, 'one at a time')
    wasRemoved = removed.length
  }
  assert.deepEqual(removed, ['gone-a', 'gone-b'])
  assert.equal(apps.known(name)?.name, name)
})

test('apps that sleep are asked about no more when the stream has ended', async () => {
  const apps = await appsThatKept('gone-a', 'gone-b')
  await following(apps)
  await until(() => apps.freshness.isOpen)
  streams[0]?.destroy()
  await until(() => !apps.freshness.isOpen)
  asked = []
  await clock.advance(POLL_WITHOUT_STREAM_EVERY - 1)
  assert.deepEqual([asked, removed], [[], []])
})

test('a stream that falls silent is lost, and apps are asked about again', async () => {
  const apps = someApps()
  await apps.resolve(name)
  await following(apps)
  await until(() => apps.freshness.isOpen)
  await clock.advance(STREAM_LOST_AFTER)
  await until(() => !apps.freshness.isOpen)
  has = second
  assert.equal((await apps.resolve(name)).task.revision, 2)
})

test("the master's word counts even where it went back to an older definition", async () => {
  const apps = someApps()
  has = second
  await apps.resolve(name)
  has = first
  assert.equal((await apps.resolve(name)).task.revision, 1)
})

test('definitions hold secrets, so only we can read them; one that is broken does not keep the others from being read', async () => {
  const kept = definitions()
  kept.keep(name, { app: first, etag: '"1"' })
  await kept.flush()
  assert.deepEqual(await readdir(folder), ['blog.json'])
  assert.equal((await stat(`${folder}/blog.json`)).mode & 0o777, 0o600)
  await writeFile(`${folder}/broken.json`, '{"app":')
  assert.deepEqual(
    (await definitions().all()).map(([app]) => app),
    ['blog'],
  )
})

test('secrets of definitions are not in their files in clear; a file that an earlier version wrote is encrypted', async () => {
  const app = anApp(aTask({ env: { PASSWORD: 'planted-secret' } }))
  await writeFile(`${folder}/blog.json`, JSON.stringify({ app, etag: '"1"' }))
  const kept = definitions()
  for (let times = 0; times < 2; times++) {
    assert.deepEqual(await kept.all(), [[name, { app, etag: '"1"' }]])
    await kept.flush()
    assert.ok(!(await readFile(`${folder}/blog.json`, 'utf8')).includes('planted-secret'))
  }
})

test('a forgotten app is not there after a restart', async () => {
  const kept = definitions()
  const apps = someApps(kept)
  await apps.resolve(name)
  apps.forget(name)
  await kept.flush()
  assert.deepEqual(await readdir(folder), [])
})

test('an app whose volume another node has by now is forgotten with its secrets, unless it is awake here', async () => {
  const kept = definitions()
  const apps = someApps(kept)
  await apps.resolve(name)
  isElsewhere = true
  isAsleep = false
  assert.equal((await apps.resolve(name)).name, name)
  isAsleep = true
  await assert.rejects(apps.resolve(name), error => isFailure(error, 'volume-elsewhere'))
  await kept.flush()
  assert.deepEqual([apps.known(name), await readdir(folder)], [undefined, []])
})

test('definitions that cannot be read are not taken for none', async () => {
  assert.deepEqual(await openDefinitions({ folder: `${folder}/none`, seals, log: noLog }).all(), [])
  await writeFile(`${folder}/file`, '')
  await assert.rejects(openDefinitions({ folder: `${folder}/file`, seals, log: noLog }).all(), /ENOTDIR/)
})
