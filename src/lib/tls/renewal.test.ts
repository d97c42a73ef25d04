import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { anAuthority } from '../../testing/mutual-tls.ts'
import { Credentials } from './credentials.ts'
import { keepRenewed } from './renewal.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NOW = Date.UTC(2026, 10, 29)

async function renewing({ random = 0.5, lastsMs = 7 * DAY_MS } = {}) {
  const clock = new HandClock(NOW)
  const authority = await anAuthority(NOW)
  const issue = () => authority.credential('a.test', { from: clock.wall(), until: clock.wall() + lastsMs })
  const credentials = new Credentials(await issue())
  const said: [string, string][] = []
  const as = (level: string) => (event: string) => void said.push([level, event])
  const state = { renewals: [] as number[], fails: false, done: Promise.resolve() }
  const renewal = keepRenewed({
    credentials,
    renew() {
      const made = (async () => {
        state.renewals.push((clock.wall() - NOW) / DAY_MS)
        if (state.fails) throw new Error('no master')
        return issue()
      })()
      state.done = made.then(
        () => undefined,
        () => undefined,
      )
      return made
    },
    clock,
    log: { debug: as('debug'), info: as('info'), warn: as('warn'), error: as('error') },
    random: () => random,
  })
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= HOUR_MS) {
      await clock.advance(Math.min(left, HOUR_MS))
      await state.done
      await clock.advance(0)
    }
  }
  return { clock, credentials, state, said, pass, renewal }
}

test('a certificate is renewed at two thirds of its life, again and again', async () => {
  const { state, credentials, pass, renewal } = await renewing()
  const first = credentials.current
  await pass(4.6 * DAY_MS)
  assert.deepEqual(state.renewals, [])
  await pass(0.1 * DAY_MS)
  assert.equal(state.renewals.length, 1)
  assert.notEqual(credentials.current.certificate, first.certificate)
  await pass(4.7 * DAY_MS)
  assert.equal(state.renewals.length, 2)
  renewal[Symbol.dispose]()
  await pass(10 * DAY_MS)
  assert.equal(state.renewals.length, 2)
})

for (const [random, day] of [
  [0, 4.32],
  [0.999, 5.01],
] as const)
  test(`with the chance ${random} it is renewed at day ${day}, so that members do not renew together`, async () => {
    const { state, pass } = await renewing({ random })
    await pass((day - 0.05) * DAY_MS)
    assert.deepEqual(state.renewals, [])
    await pass(0.1 * DAY_MS)
    assert.equal(state.renewals.length, 1)
  })

test('a renewal that fails is told once and tried each minute; after the end of the certificate it is told each time', async () => {
  const { state, said, pass, credentials } = await renewing()
  state.fails = true
  await pass(4.7 * DAY_MS)
  const tries = state.renewals.length
  assert.ok(tries >= 10)
  assert.deepEqual(said, [['warn', 'certificate not renewed; it is tried again']])
  await pass(2.4 * DAY_MS)
  assert.deepEqual(said.at(-1), ['error', 'certificate expired and not renewed'])
  state.fails = false
  const before = credentials.current
  await pass(HOUR_MS)
  assert.notEqual(credentials.current, before)
  assert.deepEqual(said.at(-1), ['info', 'certificate renewed'])
})

test('a certificate with a short life is tried again in time: before it ends', async () => {
  const { state, said, pass, credentials } = await renewing({ lastsMs: 60_000 })
  const first = credentials.current
  state.fails = true
  await pass(41_000)
  assert.deepEqual(said, [['warn', 'certificate not renewed; it is tried again']])
  state.fails = false
  await pass(6_000)
  assert.notEqual(credentials.current, first)
  assert.deepEqual(said.at(-1), ['info', 'certificate renewed'])
})

test('a wall clock that is set ahead is noticed within the hour', async () => {
  const { clock, state, pass } = await renewing()
  await pass(HOUR_MS)
  clock.setWall(5 * DAY_MS)
  await pass(HOUR_MS)
  assert.equal(state.renewals.length, 1)
})
