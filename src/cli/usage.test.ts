import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { App } from '../model/app.ts'
import type { BudgetState } from '../model/budget.ts'
import { shadow } from '../testing/cli.ts'
import { explain } from './explain.ts'
import { sayBudgetLeft, sayBudgetState } from './explain-budget.ts'

const of = (app: string, owner: string | null, requests: number, alwaysOn = true) => ({
  ...{ app, owner, requests, awakeSeconds: 3_600, memoryGiBSeconds: 1_800, cpuSeconds: 61, volumeGiBHours: 0.0123 },
  ...{ backupGiBHours: 0, egressBytes: 2_048, cost: 0.5, alwaysOnCost: alwaysOn ? 5 : null },
  alwaysOn: alwaysOn ? { awakeSeconds: 36_000, memoryGiBSeconds: 18_000 } : null,
})
const usage = (currency: string | null) => ({
  ...{ month: '2026-12', from: '2026-12-01T00:00:00.000Z', until: '2026-12-31T00:00:00.000Z', currency },
  items: [of('ann-blog', 'ann', 3), of('ann-shop', 'ann', 4), of('zoo', null, 5, false)],
})

test('usage is a table with a row for each app and the sum, where an app that was removed would have used what it has', async () => {
  const { terminal } = await shadow('usage --month 2026-12', { getUsage: () => usage(null) })
  assert.deepEqual(terminal.stdout.split('\n'), [
    'app       awake  of always-on  memory    cpu   volume       backups  requests  sent',
    'ann-blog  1h     10%           0.5 GiBh  1m1s  0.0123 GiBh  0 GiBh   3         2KiB',
    'ann-shop  1h     10%           0.5 GiBh  1m1s  0.0123 GiBh  0 GiBh   4         2KiB',
    'zoo       1h     -             0.5 GiBh  1m1s  0.0123 GiBh  0 GiBh   5         2KiB',
    'all       3h     14.3%         1.5 GiBh  3m3s  0.0369 GiBh  0 GiBh   12        6KiB',
    '2026-12, up to 2026-12-31T00:00:00.000Z',
    '',
  ])
})

test('usage by owner has a row for each owner, and what it costs beside what it would have cost without sleep', async () => {
  const { terminal } = await shadow('usage --by owner', { getUsage: () => usage('EUR') })
  const rows = terminal.stdout.split('\n').map(line => line.split(/ {2,}/))
  assert.deepEqual(
    rows.slice(0, 4).map(row => [row[0], row[7], ...row.slice(-2)]),
    [
      ['owner', 'requests', 'cost (EUR)', 'always-on'],
      ['-', '5', '0.50', '-'],
      ['ann', '7', '1.00', '10.00'],
      ['all', '12', '1.50', '10.50'],
    ],
  )
})

test('usage as CSV has a line for each app, with all digits', async () => {
  const { terminal } = await shadow('usage --csv', { getUsage: () => usage('EUR') })
  const lines = terminal.stdout.split('\r\n')
  assert.equal(lines[1], '2026-12,ann-blog,ann,3600,1800,61,0.0123,0,3,2048,36000,18000,0.5,5,EUR')
  assert.equal(lines[3], '2026-12,zoo,,3600,1800,61,0.0123,0,5,2048,,,0.5,,EUR')
  assert.equal(lines[0]?.split(',').length, lines[1]?.split(',').length)
})

test('a budget is set by flags with units', async () => {
  const answers = {
    setBudget: () => ({ kind: 'app', name: 'blog', limits: {}, share: 0.5, says: '1 of 2', state: 'ok' }),
  }
  const { calls } = await shadow('budget set blog --cost 2.5 --awake 90m --requests 100 --egress 1KiB', answers)
  assert.deepEqual(calls[0]?.params, { kind: 'app', name: 'blog' })
  assert.deepEqual(calls[0]?.body, { cost: 2.5, awakeHours: 1.5, requests: 100, egressBytes: 1_024 })
  for (const line of ['budget set blog --cost -1', 'budget set --cost 1', 'budget set blog --owner ann --cost 1'])
    assert.equal((await shadow(line, answers)).exit, 2, line)
})

test('a token for apps is of the role owner', async () => {
  const { calls } = await shadow('token create ann --apps ann-*,shop', { createToken: () => ({ id: 'i', token: 't' }) })
  assert.deepEqual(calls[0]?.body, { name: 'ann', role: 'owner', apps: ['ann-*', 'shop'] })
})

test('why and status tell of a budget as long as it counts', () => {
  const budget: BudgetState = {
    state: 'spent',
    why: 'the budget of the app for 2026-12: 9 of 9 requests',
    until: '2027-01-01T00:00:00.000Z',
  }
  const app = { name: 'blog', budget } as App
  const [before, after] = [Date.parse('2026-12-31T23:00:00Z'), Date.parse('2027-01-01T00:00:00Z')]
  assert.match(
    explain(app, undefined, ['http://x/'], before).join(' '),
    /Nothing wakes it before 2027-01-01.*9 of 9 requests/,
  )
  assert.match(explain(app, undefined, ['http://x/'], after).join(' '), /The next request to http:\/\/x\/ wakes it/)
  assert.match(sayBudgetState(app, before) ?? '', /^spent: /)
  assert.equal(sayBudgetState(app, after), undefined)
  const near = { ...app, budget: { ...budget, state: 'near' as const } }
  assert.match(sayBudgetLeft(near, before).join(), /Nearly spent is the budget of the app.*sleeps until 2027/)
  assert.deepEqual([sayBudgetLeft(app, before), sayBudgetLeft(near, after)], [[], []])
})
