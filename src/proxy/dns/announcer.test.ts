import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { type Log, noLog } from '../../lib/log.ts'
import type { DnsView } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'
import { HandClock } from '../../testing/clock.ts'
import { Announcer } from './announcer.ts'

const aView = (address: string): DnsView => ({
  ...{ zones: ['apps.example.com' as Hostname], authorities: [] },
  fronts: [{ name: 'front-1', addresses: [address], isNameServer: true, isAlive: true }],
})

let clock: HandClock
let answer: () => Promise<DnsView>
let said: boolean[]
let logged: string[]
let kept: Map<string, unknown>
beforeEach(() => {
  clock = new HandClock()
  answer = async () => aView('203.0.113.1')
  said = []
  logged = []
  kept = new Map()
})

function announcer(): Announcer {
  const note = (event: string): void => void logged.push(event)
  const log: Log = { ...noLog, info: note, warn: note }
  const call = async (_name: string, { body }: { body: { isLeaving: boolean } }) => {
    said.push(body.isLeaving)
    return answer()
  }
  const store = {
    get: (key: string) => kept.get(key),
    set: (key: string, value: unknown) => void kept.set(key, JSON.parse(JSON.stringify(value))),
    forget: (key: string) => void kept.delete(key),
  }
  return new Announcer({
    ...{ master: { call: call as never }, front: 'front-1', addresses: ['203.0.113.1'], isNameServer: true },
    ...{ store, clock, log },
  })
}

test('a front announces itself every five seconds, and knows what the masters said last', async () => {
  const one = announcer()
  assert.equal(one.view, undefined)
  const ending = new AbortController()
  const running = one.run(ending.signal)
  await clock.advance(4_999)
  assert.deepEqual([said, one.view], [[false], aView('203.0.113.1')])
  answer = async () => aView('203.0.113.2')
  await clock.advance(1)
  assert.deepEqual([said.length, one.view], [2, aView('203.0.113.2')])
  ending.abort()
  await running
})

test('while no master answers, what they said last counts, after a restart too; it is logged once', async () => {
  const ending = new AbortController()
  const first = announcer()
  const running = first.run(ending.signal)
  await clock.advance(1)
  answer = () => Promise.reject(new ShadowError('master-unreachable', 'no'))
  await clock.advance(60_000)
  assert.deepEqual(first.view, aView('203.0.113.1'))
  assert.deepEqual(announcer().view, aView('203.0.113.1'))
  assert.deepEqual(logged, ['public addresses not announced'])
  answer = async () => aView('203.0.113.1')
  await clock.advance(5_000)
  assert.deepEqual(logged, ['public addresses not announced', 'public addresses are announced again'])
  ending.abort()
  await running
})

test('a front that leaves says so, and says it again after a call that was under way', async () => {
  const one = announcer()
  const slow = Promise.withResolvers<DnsView>()
  answer = () => slow.promise
  const ending = new AbortController()
  const running = one.run(ending.signal)
  answer = async () => aView('203.0.113.1')
  await one.leave()
  assert.deepEqual(said, [false, true])
  slow.resolve(aView('203.0.113.1'))
  await clock.advance(5_000)
  assert.deepEqual(said, [false, true, true, true])
  ending.abort()
  await running
})
