import assert from 'node:assert/strict'
import { test } from 'vitest'
import { anApp } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const RUN = {
  tick: '2027-01-15T01:00:00.000Z',
  startedAt: '2027-01-15T01:00:01.000Z',
  endedAt: '2027-01-15T01:00:02.000Z',
  outcome: 'failed',
  status: 500,
  lastLines: 'first\nsecond',
  missed: 2,
}
const SCHEDULE = {
  id: '1f2e3d4c',
  cron: '0 * * * *',
  zone: 'Europe/Berlin',
  action: { kind: 'request', path: '/cron' },
  within: '10m',
  createdAt: '2027-01-15T00:00:00.000Z',
  lastTick: RUN.tick,
  runs: [RUN],
  next: '2027-01-15T02:00:00.000Z',
}

async function shadow(...words: string[]) {
  await using master = await fakeMaster({
    addSchedule: () => SCHEDULE,
    listSchedules: () => ({ items: [SCHEDULE] }),
    removeSchedule: () => undefined,
    runSchedule: call =>
      call.params['schedule'] === '1f2e3d4c'
        ? { ...RUN, byHand: true }
        : { ...RUN, byHand: true, outcome: 'done', status: undefined, exitCode: 0, missed: undefined },
    listApps: () => ({ items: [anApp()], next: null }),
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr, calls: master.calls }
}

for (const [flags, action] of [
  [['--wake'], { kind: 'wake', for: '1m' }],
  [['--wake', '--for', '10h'], { kind: 'wake', for: '10h' }],
  [['--wake-ahead', '2m'], { kind: 'wake', for: '1m', ahead: '2m' }],
  [['--request', '/cron'], { kind: 'request', path: '/cron' }],
  [['--', 'npm', 'run', 'report'], { kind: 'command', command: ['npm', 'run', 'report'] }],
] as const)
  test(`shadow schedule add ${flags.join(' ')}`, async () => {
    const { exit, out, err, calls } = await shadow(
      'schedule',
      'add',
      'blog',
      '0 3 * * *',
      '--tz',
      'Europe/Berlin',
      ...flags,
    )
    assert.deepEqual(
      [exit, out, calls.at(-1)?.body],
      [0, '1f2e3d4c\n', { cron: '0 3 * * *', zone: 'Europe/Berlin', action }],
    )
    assert.match(err, /the first time is 2027-01-15T02/)
  })

test('a schedule does one thing, and wrong times are told', async () => {
  for (const flags of [[], ['--wake', '--request', '/'], ['--wake', '--', 'true']]) {
    const { exit, err } = await shadow('schedule', 'add', 'blog', '0 3 * * *', ...flags)
    assert.equal(exit, 2)
    assert.match(err, /give one of --wake, --wake-ahead, --request and a command after --/)
  }
  const { err } = await shadow(
    'schedule',
    'add',
    'blog',
    '0 3 * * *',
    '--request',
    '/',
    '--for',
    '1m',
    '--within',
    'long',
  )
  assert.match(err, /--for: goes with --wake/)
  assert.match(err, /--within: /)
})

test('ls shows what comes, runs shows what was', async () => {
  const { out } = await shadow('schedule', 'ls', 'blog')
  assert.match(
    out,
    /1f2e3d4c +0 \* \* \* \* +Europe\/Berlin +GET \/cron +2027-01-15T02:00:00.000Z +failed 2027-01-15T01/,
  )
  const runs = await shadow('schedule', 'runs', 'blog')
  assert.match(
    runs.out,
    /01:00:00.000Z 1f2e3d4c failed: status 500, 2 earlier times were missed\n {4}first\n {4}second\n/,
  )
  assert.equal((await shadow('schedule', 'rm', 'blog', '1f2e3d4c')).exit, 0)
})

test('run tells how the run ended, by its exit code too', async () => {
  const failed = await shadow('schedule', 'run', 'blog', '1f2e3d4c')
  assert.equal(failed.exit, 1)
  assert.match(failed.out, /1f2e3d4c failed \(by hand\): status 500/)
  const done = await shadow('schedule', 'run', 'blog', 'aaaaaaaa')
  assert.deepEqual([done.exit, done.err], [0, ''])
  assert.match(done.out, /aaaaaaaa done \(by hand\): exit code 0\n/)
})
