import assert from 'node:assert/strict'
import { test } from 'vitest'
import { sayAwake, sayValues } from './chart-words.ts'

const plain = (value: number): string => String(value)
const at = (seconds: number): string => `t${seconds}`

test('the last and the highest value are told, with their times', () => {
  assert.equal(sayValues([1, null, 5, 2, null], [10, 20, 30, 40, 50], plain, at), 'last 2 at t40, highest 5 at t30')
  assert.equal(sayValues([0, 0], [10, 20], plain, at), 'last 0 at t20, highest 0 at t20')
  assert.equal(sayValues([null, null], [10, 20], plain, at), 'nothing measured')
})

test('the time awake is the sum of the shares', () => {
  assert.equal(sayAwake({ awake: [0, 0.5, 1], stepSeconds: 60 }, plain), 'awake for 90 of 180')
})
