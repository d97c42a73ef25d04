import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import type { DnsView } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'
import { HandClock } from '../../testing/clock.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { type DnsTexts, dnsTexts } from '../dns/texts.ts'
import { OrderError } from './authority.ts'
import type { TxtRecords } from './dns-hook.ts'
import { ownRecords } from './own-dns.ts'

const RECORD = '_acme-challenge.apps.example.com'
const DAY_MS = 86_400_000

let clock: HandClock
let texts: DnsTexts
let view: DnsView
let records: TxtRecords
beforeEach(() => {
  clock = new HandClock()
  texts = dnsTexts({ storage: memoryStorage(), clock })
  view = {
    zones: ['apps.example.com' as Hostname],
    authorities: [],
    fronts: [{ name: 'front-1', addresses: ['203.0.113.1'], isNameServer: true, isAlive: true }],
  }
  records = ownRecords({ texts, view: async () => view, clock }, new AbortController().signal)
})

test('values of one name are set side by side, and one is cleared without the others', async () => {
  for (const value of ['one', 'two', 'two']) await records.set(RECORD, value)
  assert.deepEqual([...(await texts.at(RECORD))].sort(), ['one', 'two'])
  await records.clear(RECORD, 'one')
  await records.clear(RECORD, 'one')
  assert.deepEqual(await texts.at(RECORD), ['two'])
  assert.deepEqual(await texts.at('_acme-challenge.other.example.com'), [])
})

test('without a front that is a name server, an order fails after half a minute, before the authority looks', async () => {
  const [front = assert.fail()] = view.fronts
  const refused = (error: Error): boolean =>
    error instanceof OrderError && /no front is a name server now: set SHADOW_DNS_LISTEN/.test(error.message)
  for (const changes of [{ isNameServer: false }, { isAlive: false }]) {
    view = { ...view, fronts: [{ ...front, ...changes }] }
    const failed = assert.rejects(records.set(RECORD, 'one'), refused)
    await clock.advance(30_000)
    await failed
  }
  assert.deepEqual(await texts.at(RECORD), [])
  await records.clear(RECORD, 'one')
})

test('an order waits for the first name server, but not once its master stops', async () => {
  const { fronts } = view
  view = { ...view, fronts: [] }
  const waiting = records.set(RECORD, 'one')
  await clock.advance(5_000)
  view = { ...view, fronts }
  await clock.advance(1_000)
  await waiting
  assert.deepEqual(await texts.at(RECORD), ['one'])
  view = { ...view, fronts: [] }
  const ending = new AbortController()
  const stopped = ownRecords({ texts, view: async () => view, clock }, ending.signal).set(RECORD, 'two')
  await clock.advance(1_000)
  ending.abort(new Error('the master is stopping'))
  await assert.rejects(stopped, /is stopping/)
})

test('a name that no front is asked for is refused', async () => {
  await assert.rejects(
    records.set('_acme-challenge.example.org', 'one'),
    /in no zone of the fronts \(apps\.example\.com\)/,
  )
})

test('what a master has left that died in the middle of an order is removed after a day', async () => {
  await records.set(RECORD, 'old')
  await clock.advance(DAY_MS)
  await records.set(RECORD, 'new')
  await clock.advance(1)
  await texts.tidy()
  assert.deepEqual(await texts.at(RECORD), ['new'])
})
