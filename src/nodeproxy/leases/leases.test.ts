import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { leaseTimes } from '../../model/intervals.ts'
import { nodeName, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { diskIdOf } from '../volumes/disk-id.ts'
import type { LeaseGuard } from './guard/guard.ts'
import { Leases } from './leases.ts'

const blog = volumeId('blog')
const kept = { id: blog, expires: false, excludes: true }
const expiring = { id: blog, driver: 'pool', expires: true, excludes: false } as const
const LEASE_LASTS = 60_000
const times = leaseTimes(LEASE_LASTS)
const SAFE_FOR = LEASE_LASTS - times.clockSkew - times.stopWithin
const never = new AbortController().signal
const away = new ShadowError('master-unreachable', 'it does not answer')

let folder: string
let clock: HandClock
let calls: { name: string; body?: unknown; query?: unknown }[]
let failure: ShadowError | undefined
let guarded: string[]
let guardFailure: Error | undefined
/** What the master's next answers wait for. */
let answers: Promise<void> | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-leases-'))
  clock = new HandClock()
  calls = []
  failure = undefined
  guarded = []
  guardFailure = undefined
  answers = undefined
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const master = {
  async call(name: string, { body: given, query }: { body?: { epoch?: number; boot?: string }; query?: unknown }) {
    const { boot, ...body } = given ?? {}
    if (name === 'leaseVolume') assert.ok(boot, 'the master knows by it that no other machine has this name')
    calls.push({ name, ...(given && { body }), ...(query !== undefined && { query }) })
    await answers
    if (failure !== undefined) throw failure
    return { lease: { node: 'n1', epoch: body.epoch ?? 7, until: null } }
  },
} as unknown as MasterClient

const guard: LeaseGuard = {
  async watch(volume, { fenceInMs, endsInMs }) {
    if (guardFailure !== undefined) throw guardFailure
    guarded.push(`${volume} ${fenceInMs} ${endsInMs}`)
  },
  leave: async volume => void guarded.push(`${volume} left`),
}

const leases = (): Leases =>
  new Leases({ folder, node: nodeName('n1'), times, guard, master, permitOf: () => undefined, clock, log: noLog })

describe('a lease until it is given up', () => {
  test('is asked for once, also by a keeper that is started anew, and is never lost', async () => {
    const { epoch, lost } = await leases().take(kept, never)
    assert.deepEqual([epoch, lost], [7, undefined])
    failure = away
    const again = leases()
    assert.equal((await again.take(kept, never)).epoch, 7)
    assert.equal((await again.take(kept, never)).epoch, 7)
    assert.deepEqual(calls, [{ name: 'leaseVolume', body: { node: 'n1', disk: await diskIdOf(folder) } }])
    assert.equal(clock.waiting, 0)
  })

  test('is asked for with one id of the disk, also for many volumes at once and after a restart', async () => {
    const keeper = leases()
    const volumes = [1, 2, 3].map(at => ({ ...kept, id: `v${at}` as typeof kept.id }))
    await Promise.all(volumes.map(volume => keeper.take(volume, never)))
    await leases().take({ ...kept, id: 'v4' as typeof kept.id }, never)
    const disks = calls.map(({ body }) => (body as { disk: string }).disk)
    assert.deepEqual([disks.length, new Set(disks).size], [4, 1])
  })

  test('is kept by release, since the bytes stay here', async () => {
    const keeper = leases()
    await keeper.take(kept, never)
    await keeper.release(blog)
    assert.deepEqual(
      calls.map(({ name }) => name),
      ['leaseVolume'],
    )
  })

  test('is asked for anew once its volume was removed with its folder', async () => {
    const keeper = leases()
    await keeper.take(kept, never)
    await rm(join(folder, blog), { recursive: true })
    keeper.forget(blog)
    await keeper.take(kept, never)
    assert.equal(calls.length, 2)
  })
})

describe('a lease that expires', () => {
  const renewals = () => calls.filter(({ body }) => (body as { epoch?: number } | undefined)?.epoch === 7).length

  test('is renewed at each third of its time, by its epoch, for as long as it is held', async () => {
    const { lost } = await leases().take(expiring, never)
    assert.deepEqual(calls, [{ name: 'leaseVolume', body: { node: 'n1', forMs: LEASE_LASTS, driver: 'pool' } }])
    await clock.advance(times.renewedEvery - 1)
    assert.equal(renewals(), 0)
    await clock.advance(1)
    assert.deepEqual(calls.at(-1), {
      name: 'leaseVolume',
      body: { node: 'n1', forMs: LEASE_LASTS, epoch: 7, driver: 'pool' },
    })
    await clock.advance(100 * LEASE_LASTS)
    assert.equal(renewals(), 301)
    assert.equal(lost?.aborted, false)
  })

  test('tells until when no other node can have the volume, from before it was asked for; and grows with each renewal', async () => {
    const keeper = leases()
    const from = clock.now()
    const late = Promise.withResolvers<void>()
    answers = late.promise
    const taken = keeper.take(expiring, never)
    await clock.advance(1_000)
    late.resolve()
    await taken
    const until = keeper.validUntil(blog)
    assert.equal(until?.[0], from + LEASE_LASTS - times.clockSkew)
    await clock.advance(times.renewedEvery)
    assert.equal(until?.[0], from + 1_000 + times.renewedEvery + LEASE_LASTS - times.clockSkew)
  })

  test('is lost as soon as a renewal says that another node took it', async () => {
    const { lost } = await leases().take(expiring, never)
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await clock.advance(times.renewedEvery - 1)
    assert.equal(lost?.aborted, false)
    await clock.advance(1)
    assert.equal(lost?.reason, failure)
    assert.equal(clock.waiting, 0)
  })

  test('is lost when no master was reached until there is just time to stop, counting the skew of clocks', async () => {
    const { lost } = await leases().take(expiring, never)
    await clock.advance(times.renewedEvery)
    failure = away
    await clock.advance(SAFE_FOR - 1)
    assert.equal(lost?.aborted, false)
    await clock.advance(1)
    assert.ok(isFailure(lost?.reason, 'master-unreachable'))
    assert.equal(clock.waiting, 0)
  })

  test('outlives a master that is away for less than that', async () => {
    const { lost } = await leases().take(expiring, never)
    failure = away
    await clock.advance(SAFE_FOR - 1_500)
    failure = undefined
    await clock.advance(10 * LEASE_LASTS)
    assert.equal(lost?.aborted, false)
  })

  test('that was lost is asked for anew by the next take', async () => {
    const keeper = leases()
    await keeper.take(expiring, never)
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await clock.advance(times.renewedEvery)
    await assert.rejects(keeper.take(expiring, never), error => error === failure)
    failure = undefined
    assert.equal((await keeper.take(expiring, never)).lost?.aborted, false)
  })

  test('is given up by its epoch, renewed no more, and never lost after', async () => {
    const keeper = leases()
    const { lost } = await keeper.take(expiring, never)
    await keeper.release(blog)
    await keeper.release(blog)
    assert.deepEqual(calls.slice(1), [{ name: 'releaseVolume', query: { node: 'n1', epoch: 7 } }])
    await clock.advance(10 * LEASE_LASTS)
    assert.deepEqual([lost?.aborted, calls.length, clock.waiting], [false, 2, 0])
  })

  test('that is given up while its renewal is on the way is guarded no more', async () => {
    const keeper = leases()
    await keeper.take(expiring, never)
    const late = Promise.withResolvers<void>()
    answers = late.promise
    await clock.advance(times.renewedEvery)
    const released = keeper.release(blog)
    late.resolve()
    await released
    await clock.advance(LEASE_LASTS)
    assert.equal(guarded.at(-1), 'blog left')
  })

  test('can be given up while no master answers: it expires by itself', async () => {
    const keeper = leases()
    await keeper.take(expiring, never)
    failure = away
    await keeper.release(blog)
    assert.equal(clock.waiting, 0)
  })

  test('is not remembered by a keeper that is started anew', async () => {
    await leases().take(expiring, never)
    await leases().take(expiring, never)
    assert.equal(calls.length, 2)
  })

  test('is watched by the guard from before anything is attached, anew with each renewal, and until it is given up', async () => {
    const keeper = leases()
    await keeper.take(expiring, never)
    assert.deepEqual(guarded, ['blog 50000 60000'])
    await clock.advance(times.renewedEvery)
    assert.deepEqual(guarded.slice(1), ['blog 50000 60000'])
    await keeper.release(blog)
    assert.deepEqual(guarded.slice(2), ['blog left'])
  })

  test('that the guard cannot watch is not taken, and can be given up', async () => {
    const keeper = leases()
    guardFailure = new Error('no space left')
    await assert.rejects(keeper.take(expiring, never), /no space/)
    await keeper.release(blog)
    assert.deepEqual(calls.at(-1)?.name, 'releaseVolume')
  })

  test('whose renewal the guard did not hear of is lost like one that was not renewed', async () => {
    const { lost } = await leases().take(expiring, never)
    guardFailure = new Error('no space left')
    await clock.advance(SAFE_FOR)
    assert.equal(lost?.aborted, true)
    assert.equal(clock.waiting, 0)
  })

  test('that was given to a wake which had been called off is given up by its release', async () => {
    const keeper = leases()
    const off = new AbortController()
    const taken = keeper.take(expiring, off.signal)
    off.abort(new Error('called off'))
    await assert.rejects(taken, /called off/)
    await keeper.release(blog)
    assert.deepEqual(calls.at(-1)?.name, 'releaseVolume')
  })
})

describe('a lease of storage that excludes a second holder by itself', () => {
  const advisory = { id: blog, driver: 'ebs', expires: true, excludes: true, zone: 'eu-1a' } as const
  const lastEpoch = () => (calls.at(-1)?.body as { epoch?: number } | undefined)?.epoch

  test('is renewed, tells the zone, and is given up by its epoch; no guard watches', async () => {
    const keeper = leases()
    const { epoch, lost } = await keeper.take(advisory, never)
    assert.deepEqual([epoch, lost], [7, undefined])
    const body = { node: 'n1', forMs: LEASE_LASTS, driver: 'ebs', zone: 'eu-1a' }
    assert.deepEqual(calls, [{ name: 'leaseVolume', body }])
    await clock.advance(times.renewedEvery)
    assert.deepEqual(calls[1], { name: 'leaseVolume', body: { ...body, epoch: 7 } })
    await keeper.release(blog)
    assert.deepEqual(calls[2], { name: 'releaseVolume', query: { node: 'n1', epoch: 7 } })
    assert.deepEqual([clock.waiting, guarded], [0, ['blog left']])
  })

  test('is never lost: while no master answers it is asked for again, and once another node had it, anew', async () => {
    const keeper = leases()
    const { lost } = await keeper.take(advisory, never)
    failure = away
    await clock.advance(100 * LEASE_LASTS)
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await clock.advance(2 * times.renewedEvery)
    assert.equal(lastEpoch(), undefined)
    failure = undefined
    await clock.advance(2 * times.renewedEvery)
    assert.equal(lastEpoch(), 7)
    assert.equal(lost, undefined)
  })

  test('is not taken by a wake while another node has it', async () => {
    failure = new ShadowError('volume-elsewhere', 'n2 has it')
    await assert.rejects(leases().take(advisory, never), error => error === failure)
    assert.equal(clock.waiting, 0)
  })

  test('of a volume that is attached from an earlier run is taken once a master answers, and waits for none', async () => {
    failure = away
    const keeper = leases()
    assert.equal((await keeper.take({ ...advisory, isAttached: true }, never)).lost, undefined)
    await clock.advance(LEASE_LASTS)
    await keeper.release(blog)
    assert.ok(!calls.some(({ name }) => name === 'releaseVolume'))
  })
})
