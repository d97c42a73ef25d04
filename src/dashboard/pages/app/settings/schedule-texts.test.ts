import { expect, test } from 'vitest'
import { NEW_SCHEDULE, scheduleBody, scheduleCommand } from './schedule-texts.ts'

test('each kind of schedule has its own fields in the body', () => {
  const cron = '0 3 * * *'
  expect(scheduleBody({ ...NEW_SCHEDULE, cron })).toEqual({
    cron,
    zone: 'UTC',
    within: '10m',
    action: { kind: 'wake', for: '1m' },
  })
  expect(scheduleBody({ ...NEW_SCHEDULE, cron, kind: 'request', path: '/cron' })).toMatchObject({
    action: { kind: 'request', path: '/cron' },
  })
  expect(scheduleBody({ ...NEW_SCHEDULE, cron, kind: 'command', command: "node 'a b.js'" })).toMatchObject({
    action: { kind: 'command', command: ['node', 'a b.js'] },
  })
})

test('the command has a flag for what differs from the defaults', () => {
  const texts = { ...NEW_SCHEDULE, cron: '0 8 * * 1-5' }
  expect(scheduleCommand('blog', { ...texts, zone: 'Europe/Berlin', for: '10h' })).toBe(
    "shadow schedule add blog '0 8 * * 1-5' --tz Europe/Berlin --wake --for 10h",
  )
  expect(scheduleCommand('blog', { ...texts, kind: 'command', command: 'node x.js', within: '30m' })).toBe(
    "shadow schedule add blog '0 8 * * 1-5' --within 30m -- node x.js",
  )
})
