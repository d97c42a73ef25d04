import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { Duration } from '../../model/quantities.ts'
import type { Schedule, ScheduleAction } from '../../model/schedule.ts'
import { HandClock } from '../../testing/clock.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { anApp } from '../../testing/fake-app.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { scheduleRecords } from './records.ts'
import { orNone, ScheduleTicker } from './ticker.ts'

const MINUTE = 60_000
const REQUEST: ScheduleAction = { kind: 'request', path: '/cron' }
const never = new AbortController().signal

/** Masters on one storage, with a clock that stands at a quarter past midnight. */
function setUp(masters = 1) {
  const clock = new HandClock(Date.parse('2027-01-15T00:15:00Z'))
  const { storage, calls } = countingStorage(memoryStorage())
  const app = { current: anApp() as App | undefined }
  const asked: string[] = []
  const answer = { next: async (): Promise<object> => ({ status: 200, lastLines: 'done' }) }
  const records = scheduleRecords({ storage, clock })
  const tickers = Array.from({ length: masters }, () => {
    const relay = {
      keep: async (_: App, { forMs, why }: { forMs: number; why: string }) =>
        void asked.push(`keep ${forMs / 1_000}s ${why}`),
      runScheduled: async (_: App, { action }: { action: object }) => {
        asked.push(JSON.stringify(action))
        return (await answer.next()) as never
      },
    }
    const find = async (): Promise<App | undefined> => {
      if (app.current === undefined) return orNone(new ShadowError('app-not-found', 'none'))
      return app.current
    }
    return new ScheduleTicker({ records: scheduleRecords({ storage, clock }), find, relay, clock, log: noLog })
  })
  const add = (action: ScheduleAction, cron = '0 * * * *', zone = 'UTC') =>
    records.add(anApp(), { cron, zone, action: action as never, within: '10m' as Duration })
  /** Lets all masters look at the same moment. */
  const tick = async (): Promise<void> => {
    await Promise.all(tickers.map(ticker => ticker.tick(never)))
    await Promise.all(tickers.map(ticker => ticker.settled()))
  }
  const pass = async (ms: number): Promise<void> => {
    clock.pause(ms)
    await tick()
  }
  const list = (): Promise<readonly Schedule[]> => records.list(anApp())
  return { clock, records, storage, calls, tickers, asked, answer, app, add, tick, pass, list }
}

test('a time is for one run, however many masters there are', async () => {
  const { add, pass, asked, list } = setUp(5)
  await add(REQUEST)
  await pass(44 * MINUTE)
  assert.deepEqual(asked, [])
  await pass(2 * MINUTE)
  await pass(1_000)
  assert.deepEqual(asked, ['{"kind":"request","path":"/cron"}'])
  await pass(60 * MINUTE)
  assert.equal(asked.length, 2)
  const [schedule] = await list()
  assert.deepEqual(
    schedule?.runs.map(({ tick, outcome, status, lastLines }) => [tick, outcome, status, lastLines]),
    [
      ['2027-01-15T02:00:00.000Z', 'done', 200, 'done'],
      ['2027-01-15T01:00:00.000Z', 'done', 200, 'done'],
    ],
  )
})

test('times that were missed are counted, and the newest is made up for once, if it is not long past', async () => {
  const { add, pass, asked, list } = setUp(2)
  await add(REQUEST)
  await pass(4 * 60 * MINUTE)
  assert.equal(asked.length, 1)
  const [run] = (await list())[0]?.runs ?? []
  assert.deepEqual([run?.tick, run?.outcome, run?.missed], ['2027-01-15T04:00:00.000Z', 'done', 3])
})

test('a time that is long past is recorded as missed, and nothing runs for it', async () => {
  const { add, pass, asked, list } = setUp()
  await add(REQUEST, '0 3 * * *')
  await pass(5 * 60 * MINUTE)
  assert.deepEqual(asked, [])
  const [run] = (await list())[0]?.runs ?? []
  assert.deepEqual([run?.tick, run?.outcome], ['2027-01-15T03:00:00.000Z', 'missed'])
})

describe('the outcome of a run is recorded:', () => {
  for (const [what, answer, wanted] of [
    ['a status', async () => ({ status: 500, lastLines: 'oh' }), { outcome: 'failed', status: 500, lastLines: 'oh' }],
    ['a good status', async () => ({ status: 204, lastLines: '' }), { outcome: 'done', status: 204 }],
    [
      'an error',
      async () => Promise.reject(new ShadowError('node-unreachable', 'the node is gone')),
      { outcome: 'failed', detail: 'node-unreachable: the node is gone' },
    ],
  ] as const)
    test(what, async () => {
      const { add, pass, answer: next, list } = setUp()
      next.next = answer
      await add(REQUEST)
      await pass(46 * MINUTE)
      const [run] = (await list())[0]?.runs ?? []
      assert.partialDeepStrictEqual(run, wanted)
      assert.notEqual(run?.endedAt, null)
    })
})

test('a run whose master has died is found lost by another one, and is not repeated', async () => {
  const { add, records, pass, asked, list } = setUp(2)
  const { id } = await add(REQUEST)
  const tick = '2027-01-15T01:00:00.000Z'
  // What a master leaves that takes the run and dies.
  await records.take(anApp(), id, { tick, startedAt: tick, endedAt: null, outcome: 'running' })
  await pass(50 * MINUTE)
  assert.equal((await list())[0]?.runs[0]?.outcome, 'running')
  await pass(10 * MINUTE)
  await pass(16_000)
  const runs = (await list())[0]?.runs
  assert.deepEqual(
    runs?.filter(run => run.tick === tick).map(({ outcome }) => outcome),
    ['lost'],
  )
  assert.equal(asked.length, 0)
})

test('an app is woken ahead of the time, and kept awake until after it', async () => {
  const { add, pass, asked } = setUp()
  await add({ kind: 'wake', for: '3m' as Duration, ahead: '2m' as Duration })
  await pass(42 * MINUTE)
  assert.equal(asked.length, 0)
  await pass(MINUTE)
  assert.match(asked[0] ?? '', /^keep 150s schedule \w+: wake for 3m, 2m ahead/)
  for (let minute = 0; minute < 10; minute += 1) await pass(MINUTE)
  assert.ok(asked.length >= 3 && asked.length <= 6, asked.join('\n'))
  assert.match(asked.at(-1) ?? '', /^keep ([0-9.]+)s/)
})

test('an app that was removed, and one that was registered again under its name, get no runs', async () => {
  const { add, pass, asked, app, records } = setUp()
  await add(REQUEST)
  app.current = undefined
  await pass(46 * MINUTE)
  app.current = { ...anApp(), createdAt: '2027-01-15T01:30:00.000Z' }
  await pass(60 * MINUTE)
  assert.deepEqual(asked, [])
  assert.deepEqual(await records.list(app.current), [])
})

test('schedules that another master has added are seen at once if that is told, and within ten minutes if not', async () => {
  const { add, pass, asked, tick, tickers } = setUp()
  await tick()
  await add(REQUEST, '16 * * * *')
  tickers[0]?.changed(anApp().name)
  await pass(MINUTE)
  assert.equal(asked.length, 1)
  await add(REQUEST, '30 * * * *')
  await pass(10 * MINUTE)
  await pass(5 * MINUTE)
  assert.equal(asked.length, 2)
  await add(REQUEST, '40 * * * *')
  tickers[0]?.missed()
  await pass(9 * MINUTE)
  await pass(MINUTE)
  assert.equal(asked.length, 3)
})

test('while nothing changes the store is asked six times an hour, and a run that another master has ended is not lost', async () => {
  const { add, pass, list, calls } = setUp(2)
  await add(REQUEST, '20 * * * *')
  await pass(0)
  await pass(5 * MINUTE)
  await pass(MINUTE)
  calls.length = 0
  for (let minute = 0; minute < 50; minute++) await pass(MINUTE)
  const lists = calls.filter(call => call === 'versions').length
  assert.ok(lists <= 12, `${lists} lists by two masters`)
  // The one that did not have the run asks once whether it has ended.
  assert.ok(calls.length - lists <= 4, calls.join(' '))
  assert.deepEqual(
    (await list())[0]?.runs.map(({ outcome }) => outcome),
    ['done'],
  )
})

test('a run by hand does at once what the schedule does, and leaves its times as they are', async () => {
  const { add, pass, asked, tickers, answer, list } = setUp()
  const { id } = await add(REQUEST)
  const run = await tickers[0]!.runNow(anApp(), id)
  assert.deepEqual([run.outcome, run.status, run.byHand], ['done', 200, true])
  answer.next = async () => ({ status: 500, lastLines: 'oh' })
  assert.equal((await tickers[0]!.runNow(anApp(), id)).outcome, 'failed')
  await pass(46 * MINUTE)
  assert.equal(asked.length, 3)
  const [schedule] = await list()
  assert.deepEqual(
    schedule?.runs.map(({ byHand, tick }) => (byHand ? 'by hand' : tick)),
    ['2027-01-15T01:00:00.000Z', 'by hand', 'by hand'],
  )
  await assert.rejects(tickers[0]!.runNow(anApp(), 'none'), /has no schedule none/)
})

test('a run by hand keeps an app awake for as long as its schedule says', async () => {
  const { add, pass, asked, tickers } = setUp()
  const { id } = await add({ kind: 'wake', for: '5m' as Duration })
  await tickers[0]!.runNow(anApp(), id)
  for (let minute = 0; minute < 8; minute += 1) await pass(MINUTE)
  assert.ok(asked.length >= 4 && asked.length <= 6, asked.join('\n'))
})

test('the schedules of a removed app do not keep awake the next app of its name', async () => {
  const { add, pass, asked, tickers, app } = setUp()
  const { id } = await add({ kind: 'wake', for: '5m' as Duration })
  await tickers[0]!.runNow(anApp(), id)
  assert.equal(asked.length, 1)
  app.current = { ...anApp(), createdAt: '2027-01-15T00:15:30.000Z' }
  for (let minute = 0; minute < 4; minute += 1) await pass(MINUTE)
  assert.equal(asked.length, 1)
})

test('a command that ends with another code than 0 has failed', async () => {
  const { add, tickers, answer } = setUp()
  const { id } = await add({ kind: 'command', command: ['false'] })
  answer.next = async () => ({ exitCode: 1, lastLines: '' })
  assert.partialDeepStrictEqual(await tickers[0]!.runNow(anApp(), id), { outcome: 'failed', exitCode: 1 })
  answer.next = async () => ({ exitCode: 0, lastLines: 'ok' })
  assert.partialDeepStrictEqual(await tickers[0]!.runNow(anApp(), id), {
    outcome: 'done',
    exitCode: 0,
    lastLines: 'ok',
  })
})

test('an app has twenty schedules at most', async () => {
  const { add } = setUp()
  for (let count = 0; count < 20; count += 1) await add(REQUEST)
  await assert.rejects(add(REQUEST), /has 20 schedules, which is the most/)
  await assert.rejects(add(REQUEST, 'bad'), /five fields/)
})
