import { expect, test } from 'vitest'
import { budgetCommand, EMPTY, limitsOf } from './budget-form.ts'

test('only limits that were typed are set, and what is no number is left for the master to refuse', () => {
  expect(limitsOf({ ...EMPTY, awakeHours: '100', egressGiB: '2', requests: 'many' })).toEqual({
    awakeHours: 100,
    egressBytes: 2 * 2 ** 30,
    requests: 'many',
  })
})

test('the command sets the same budget', () => {
  expect(budgetCommand({ ...EMPTY, name: 'blog', awakeHours: '100', egressGiB: '2' })).toBe(
    'shadow budget set blog --awake 100h --egress 2GiB',
  )
  expect(budgetCommand({ ...EMPTY, kind: 'owner', name: 'ann', cost: '5' })).toBe(
    'shadow budget set --owner ann --cost 5',
  )
})
