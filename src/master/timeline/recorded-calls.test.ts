import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { ownEvents } from './own-events.ts'
import { recordedCalls } from './recorded-calls.ts'

const BLOG = appName('blog')
const CALL = { caller: { name: 'ann' } } as never

let events: ReturnType<typeof ownEvents>
let clock: HandClock
/** What the calls answer, or fail with. */
let answer: () => unknown
let calls: ReturnType<typeof recordedCalls>
beforeEach(() => {
  clock = new HandClock()
  events = ownEvents({ storage: memoryStorage(), clock, log: noLog })
  const handler = async (): Promise<never> => {
    await clock.advance(1_500)
    return { value: answer() } as never
  }
  const all = { moveApp: handler, restoreVolume: handler, restoreApp: handler, removeApp: handler }
  calls = recordedCalls(all, events)
})
const move = () => calls.moveApp({ params: { app: BLOG }, body: { to: 'n2' } } as never, CALL)
const told = async () =>
  (await events.list(BLOG)).map(({ kind, by, outcome, ms, detail, code }) => [kind, by, outcome, ms, detail, code])

test('a move is recorded with who asked for it, from where to where, and how long it took', async () => {
  answer = () => ({ app: BLOG, from: 'n1', to: 'n2', moved: true })
  await move()
  assert.deepEqual(await told(), [['move', 'ann', 'ok', 1_500, 'from n1 to n2', undefined]])
})

test('a move that fails is recorded with its problem, and fails on', async () => {
  answer = () => {
    throw new ShadowError('node-unreachable', 'n2 went away')
  }
  await assert.rejects(move(), /n2 went away/)
  assert.deepEqual(await told(), [['move', 'ann', 'failed', 1_500, 'n2 went away', 'node-unreachable']])
})

test('a call that changes nothing, or is about no app, is no event', async () => {
  answer = () => ({ app: BLOG, from: 'n2', to: 'n2', moved: false })
  await move()
  answer = () => ({ restored: false })
  const body = { snapshot: 'monday', dryRun: true }
  await calls.restoreVolume({ params: { volume: BLOG }, body } as never, CALL)
  answer = () => {
    throw new ShadowError('app-not-found', 'no app is called blog')
  }
  await assert.rejects(move())
  assert.deepEqual(await told(), [])
})

test('a restore is recorded of the app that it changes, be it of a snapshot or of a backup', async () => {
  answer = () => ({ restored: true })
  await calls.restoreVolume({ params: { volume: BLOG }, body: { snapshot: 'monday', dryRun: false } } as never, CALL)
  answer = () => ({ backup: { id: 'abcdef0123456789' } })
  const body = { to: BLOG, dryRun: false, undo: false }
  await calls.restoreApp({ params: { app: 'shop' }, body } as never, CALL)
  assert.deepEqual(
    (await told()).map(([kind, , , , detail]) => [kind, detail]),
    [
      ['restore', 'the snapshot monday'],
      ['restore', 'the backup abcdef01 of shop'],
    ],
  )
})

test('the newest 100 are kept, and none of an app that is removed', async () => {
  answer = () => ({ app: BLOG, from: 'n1', to: 'n2', moved: true })
  for (let moves = 0; moves < 105; moves++) await move()
  const all = await events.list(BLOG)
  assert.equal(all.length, 100)
  assert.equal(all.at(-1)?.at, new Date(clock.wall()).toISOString())
  answer = () => undefined
  await calls.removeApp({ params: { app: BLOG } } as never, CALL)
  assert.deepEqual(await events.list(BLOG), [])
})
