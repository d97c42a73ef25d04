import { expect, test } from 'vitest'
import { lastMonths, sayMonth } from './months.ts'

test('the last months are of UTC, newest first, over the turn of a year', () => {
  expect(lastMonths(new Date('2027-01-31T23:30:00-05:00'), 3)).toEqual(['2027-02', '2027-01', '2026-12'])
  expect(lastMonths(new Date('2026-03-31T12:00:00Z'), 2)).toEqual(['2026-03', '2026-02'])
})

test('a month is said in words, and what is none as it is', () => {
  expect(sayMonth('2026-12')).toBe('December 2026')
  expect(sayMonth('soon')).toBe('soon')
})
