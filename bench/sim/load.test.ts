import assert from 'node:assert/strict'
import { test } from 'vitest'
import { randomOf } from '../lib/random.ts'
import { loadOf } from './load.ts'

const APPS = 1_000
const VISITS = 20_000

const visitsOf = (seed: number) => {
  const next = loadOf({ apps: APPS, perSecond: 10, random: randomOf(seed) })
  return Array.from({ length: VISITS }, next)
}

test('the same seed gives the same load, another seed another one', () => {
  assert.deepEqual(visitsOf(1), visitsOf(1))
  assert.notDeepEqual(visitsOf(1), visitsOf(2))
})

test('visits come as often as asked for, and all of them are for apps that there are', () => {
  const visits = visitsOf(1)
  const seconds = visits.reduce((sum, { afterMs }) => sum + afterMs, 0) / 1_000
  assert(Math.abs(VISITS / seconds - 10) < 0.5, `${VISITS / seconds} a second`)
  assert(visits.every(({ app, lastsMs }) => Number.isInteger(app) && app >= 0 && app < APPS && lastsMs >= 0))
})

test('the load is heavy-tailed: the app of rank r has a share proportional to 1/r', () => {
  const counts = new Array<number>(APPS).fill(0)
  for (const { app } of visitsOf(1)) counts[app] = (counts[app] ?? 0) + 1
  const all = counts.reduce((sum, _, at) => sum + 1 / (at + 1), 0)
  for (const rank of [1, 2, 10]) {
    const share = (counts[rank - 1] ?? 0) / VISITS
    const wanted = 1 / rank / all
    assert(Math.abs(share / wanted - 1) < 0.2, `rank ${rank}: ${share}, not ${wanted}`)
  }
  const few = counts.slice(APPS / 2).reduce((sum, count) => sum + count, 0)
  assert(few / VISITS < 0.15, 'the less visited half of the apps has few of the visits')
})
