import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { LEASE_CLOCK_SKEW, LEASE_LASTS, LEASE_RENEWED_EVERY, LEASE_STOP_WITHIN } from '../../model/intervals.ts'
import { nodeName, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { Leases } from './leases.ts'

const blog = volumeId('blog')
const never = new AbortController().signal
const away = new ShadowError('master-unreachable', 'it does not answer')

let folder: string
let clock: HandClock
let calls: { name: string; body?: unknown; query?: unknown }[]
let failure: ShadowError | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-leases-'))
  clock = new HandClock()
  calls = []
  failure = undefined
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const master = {
  async call(name: string, { body, query }: { body?: { epoch?: number }; query?: unknown }) {
    calls.push({ name, ...(body && { body }), ...(query !== undefined && { query }) })
    if (failure !== undefined) throw failure
    return { lease: { node: 'n1', epoch: body?.epoch ?? 7, until: null } }
  },
} as unknown as MasterClient

const leases = (expire: boolean): Leases =>
  new Leases({ folder, node: nodeName('n1'), expire, master, permitOf: () => undefined, clock, log: noLog })

describe('a lease until it is given up', () => {
  test('is asked for once, also by a keeper that is started anew, and is never lost', async () => {
    const { epoch, lost } = await leases(false).take(blog, never)
    assert.deepEqual([epoch, lost], [7, undefined])
    failure = away
    const again = leases(false)
    assert.equal((await again.take(blog, never)).epoch, 7)
    assert.equal((await again.take(blog, never)).epoch, 7)
    assert.deepEqual(calls, [{ name: 'leaseVolume', body: { node: 'n1' } }])
    assert.equal(clock.waiting, 0)
  })

  test('is kept by release, since the bytes stay here', async () => {
    const keeper = leases(false)
    await keeper.take(blog, never)
    await keeper.release(blog)
    assert.deepEqual(
      calls.map(({ name }) => name),
      ['leaseVolume'],
    )
  })

  test('is asked for anew once its volume was removed with its folder', async () => {
    const keeper = leases(false)
    await keeper.take(blog, never)
    await rm(join(folder, blog), { recursive: true })
    keeper.forget(blog)
    await keeper.take(blog, never)
    assert.equal(calls.length, 2)
  })
})

describe('a lease that expires', () => {
  const renewals = () => calls.filter(({ body }) => (body as { epoch?: number } | undefined)?.epoch === 7).length

  test('is renewed at each third of its time, by its epoch, for as long as it is held', async () => {
    const { lost } = await leases(true).take(blog, never)
    assert.deepEqual(calls, [{ name: 'leaseVolume', body: { node: 'n1', forMs: LEASE_LASTS } }])
    await clock.advance(LEASE_RENEWED_EVERY - 1)
    assert.equal(renewals(), 0)
    await clock.advance(1)
    assert.deepEqual(calls.at(-1), { name: 'leaseVolume', body: { node: 'n1', forMs: LEASE_LASTS, epoch: 7 } })
    await clock.advance(100 * LEASE_LASTS)
    assert.equal(renewals(), 301)
    assert.equal(lost?.aborted, false)
  })

  test('is lost as soon as a renewal says that another node took it', async () => {
    const { lost } = await leases(true).take(blog, never)
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await clock.advance(LEASE_RENEWED_EVERY - 1)
    assert.equal(lost?.aborted, false)
    await clock.advance(1)
    assert.equal(lost?.reason, failure)
    assert.equal(clock.waiting, 0)
  })

  test('is lost when no master was reached until there is just time to stop, counting the skew of clocks', async () => {
    const { lost } = await leases(true).take(blog, never)
    await clock.advance(LEASE_RENEWED_EVERY)
    failure = away
    await clock.advance(LEASE_LASTS - LEASE_CLOCK_SKEW - LEASE_STOP_WITHIN - 1)
    assert.equal(lost?.aborted, false)
    await clock.advance(1)
    assert.ok(isFailure(lost?.reason, 'master-unreachable'))
    assert.equal(clock.waiting, 0)
  })

  test('outlives a master that is away for less than that', async () => {
    const { lost } = await leases(true).take(blog, never)
    failure = away
    await clock.advance(LEASE_LASTS - LEASE_CLOCK_SKEW - LEASE_STOP_WITHIN - 1_500)
    failure = undefined
    await clock.advance(10 * LEASE_LASTS)
    assert.equal(lost?.aborted, false)
  })

  test('that was lost is asked for anew by the next take', async () => {
    const keeper = leases(true)
    await keeper.take(blog, never)
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await clock.advance(LEASE_RENEWED_EVERY)
    await assert.rejects(keeper.take(blog, never), error => error === failure)
    failure = undefined
    assert.equal((await keeper.take(blog, never)).lost?.aborted, false)
  })

  test('is given up by its epoch, renewed no more, and never lost after', async () => {
    const keeper = leases(true)
    const { lost } = await keeper.take(blog, never)
    await keeper.release(blog)
    await keeper.release(blog)
    assert.deepEqual(calls.slice(1), [{ name: 'releaseVolume', query: { node: 'n1', epoch: 7 } }])
    await clock.advance(10 * LEASE_LASTS)
    assert.deepEqual([lost?.aborted, calls.length, clock.waiting], [false, 2, 0])
  })

  test('can be given up while no master answers: it expires by itself', async () => {
    const keeper = leases(true)
    await keeper.take(blog, never)
    failure = away
    await keeper.release(blog)
    assert.equal(clock.waiting, 0)
  })

  test('is not remembered by a keeper that is started anew', async () => {
    await leases(true).take(blog, never)
    await leases(true).take(blog, never)
    assert.equal(calls.length, 2)
  })
})
