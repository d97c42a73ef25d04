import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import type { CallInput } from '../../src/api/call-shape.ts'
import type { scheduleCalls } from '../../src/api/schedule-calls.ts'
import type { ScheduleRun } from '../../src/model/schedule.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

const add = (app: string, action: NonNullable<CallInput<typeof scheduleCalls.addSchedule>['body']>['action']) =>
  shadow.admin.call('addSchedule', { params: { app }, body: { cron: '* * * * *', action } })

/** The newest run of the app's schedule that has ended. */
async function ran(app: string): Promise<ScheduleRun> {
  let run: ScheduleRun | undefined
  await shadow.eventually(async () => {
    const { items } = await shadow.admin.call('listSchedules', { params: { app } })
    run = items[0]?.runs.find(({ endedAt }) => endedAt !== null)
    return run !== undefined
  })
  return run as ScheduleRun
}

test('at its time an app gets a request or is kept awake, and the run is recorded', async () => {
  await shadow.register('blog')
  await shadow.register('wiki', { sleep: { idleAfter: '10s' } })
  await add('blog', { kind: 'request', path: '/status?code=201' })
  await add('wiki', { kind: 'wake', for: '10m' })
  assert.equal((await shadow.instance('blog')).phase, 'asleep')
  // No further: calls that are under way must not time out because the clock leaps.
  await shadow.pass(61_000 - (shadow.clock.wall() % 60_000))
  const [blog, wiki] = [await ran('blog'), await ran('wiki')]
  assert.deepEqual([blog.outcome, blog.status, blog.lastLines], ['done', 201, 'as asked'])
  assert.equal(wiki.outcome, 'done')
  assert.match((await shadow.instance('blog')).wokenBy ?? '', /^schedule \w+: GET \/status/)

  await shadow.pass(15_000)
  const { phase, kept } = await shadow.instance('wiki')
  assert.equal(phase, 'awake')
  assert.match(kept?.why ?? '', /^schedule \w+: wake for 10m/)
})

test('a command of a schedule runs in the container of the app; by hand it runs at once, and tells how it ended', async () => {
  const image = await builtImage('schedules', 'CMD ["sh", "-c", "exec httpd -f -p $PORT"]')
  await shadow.register('shop', { image, env: { GREETING: 'hello' } })
  const command = ['sh', '-c', 'echo "$GREETING"; exit "$(cat /tmp/code 2>/dev/null || echo 0)"']
  const { id } = await add('shop', { kind: 'command', command })
  const params = { app: 'shop', schedule: id }
  const good = await shadow.admin.call('runSchedule', { params })
  assert.deepEqual([good.outcome, good.exitCode, good.lastLines, good.byHand], ['done', 0, 'hello', true])
  assert.match((await shadow.instance('shop')).wokenBy ?? '', /^schedule \w+: run sh -c echo/)
  const [container = ''] = await shadow.containers('shop')
  await promisify(execFile)('docker', ['exec', container, 'sh', '-c', 'echo 4 > /tmp/code'])
  const bad = await shadow.admin.call('runSchedule', { params })
  assert.deepEqual([bad.outcome, bad.exitCode], ['failed', 4])
  const { items } = await shadow.admin.call('listSchedules', { params: { app: 'shop' } })
  assert.deepEqual(
    items[0]?.runs.filter(({ byHand }) => byHand).map(({ outcome }) => outcome),
    ['failed', 'done'],
  )
  await assert.rejects(shadow.admin.call('runSchedule', { params: { app: 'shop', schedule: 'none' } }), {
    code: 'not-found',
  })
})
