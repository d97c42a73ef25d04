import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../../lib/log.ts'
import { HandClock } from '../../../testing/clock.ts'
import { type Holder, NoHolders } from './network-holders.ts'
import { PreparedNetworks } from './prepared-networks.ts'

/** A pool over holders that a test makes, fails and ends. */
function aPool(size = 2) {
  const clock = new HandClock()
  const there = new Set<string>()
  const ends = new Map<string, () => void>()
  let made = 0
  let tries = 0
  let failure: Error | undefined
  let gate: PromiseWithResolvers<void> | undefined
  const pool = new PreparedNetworks({
    size,
    clock,
    log: noLog,
    async make() {
      tries += 1
      await gate?.promise
      if (failure !== undefined) throw failure
      made += 1
      const holder = { id: `h${made}`, address: `10.0.0.${made}` }
      there.add(holder.id)
      return holder
    },
    async remove({ id }) {
      if (failure !== undefined) throw failure
      there.delete(id)
    },
    ended: ({ id }, signal) =>
      new Promise((resolve, reject) => {
        ends.set(id, resolve)
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  })
  return {
    clock,
    pool,
    there: () => [...there],
    tries: () => tries,
    end: (id: string) => ends.get(id)?.(),
    fail: (error: Error | undefined) => {
      failure = error
    },
    hold: () => {
      gate = Promise.withResolvers<void>()
      return () => {
        gate?.resolve()
        gate = undefined
      }
    },
  }
}

const taken = (holder: Holder | undefined): string => holder?.id ?? 'none'

test('nothing is prepared before it is opened, then as many as wanted', async () => {
  const { clock, pool, there } = aPool()
  await clock.advance(10_000)
  assert.deepEqual(there(), [])
  assert.equal(taken(pool.take()), 'none')
  pool.open()
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h1', 'h2'])
})

test('one that does not fit is left for others', async () => {
  const { clock, pool } = aPool()
  pool.open()
  await clock.advance(1_000)
  assert.equal(taken(pool.take(({ address }) => address === '10.0.0.9')), 'none')
  assert.equal(taken(pool.take(({ address }) => address === '10.0.0.2')), 'h2')
  assert.equal(taken(pool.take()), 'h1')
})

test('of size 0 it prepares none', async () => {
  const { clock, pool, there } = aPool(0)
  pool.open()
  await clock.advance(10_000)
  assert.deepEqual(there(), [])
})

test('each is given once, used by one alone, removed after that, and replaced', async () => {
  const { clock, pool, there } = aPool()
  pool.open()
  await clock.advance(1_000)
  const first = pool.take()
  assert.deepEqual([taken(first), taken(pool.take()), taken(pool.take())], ['h1', 'h2', 'none'])
  await pool.during(async () => undefined)
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h1', 'h2', 'h3', 'h4'])
  pool.discard(first ?? assert.fail())
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h2', 'h3', 'h4'])
  assert.equal(taken(pool.take()), 'h3')
})

test('none is made or removed while containers are started, nor shortly after', async () => {
  const { clock, pool, there } = aPool()
  const start = Promise.withResolvers<void>()
  const starting = pool.during(() => start.promise)
  pool.open()
  pool.discard({ id: 'old', address: '' })
  await clock.advance(10_000)
  assert.deepEqual(there(), [])
  start.resolve()
  await starting
  await clock.advance(400)
  assert.deepEqual(there(), [])
  await pool.during(async () => undefined)
  await clock.advance(400)
  assert.deepEqual(there(), [])
  await clock.advance(200)
  assert.deepEqual(there(), ['h1', 'h2'])
})

test('a start that begins while one is made stops the next', async () => {
  const { clock, pool, there, hold } = aPool(3)
  const letGo = hold()
  pool.open()
  await clock.advance(1_000)
  const start = Promise.withResolvers<void>()
  const starting = pool.during(() => start.promise)
  letGo()
  await clock.advance(10_000)
  assert.deepEqual(there(), ['h1'])
  start.resolve()
  await starting
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h1', 'h2', 'h3'])
})

test('one that ends while it waits is removed, and given to nobody', async () => {
  const { clock, pool, there, end } = aPool()
  pool.open()
  await clock.advance(1_000)
  end('h1')
  await clock.advance(0)
  assert.equal(taken(pool.take()), 'h2')
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h2', 'h3', 'h4'])
})

test('after failures it tries again later and later, however many containers are started meanwhile', async () => {
  const { clock, pool, there, fail, tries } = aPool()
  fail(new Error('no'))
  pool.open()
  await clock.advance(600)
  const before = tries()
  for (let i = 0; i < 10; i += 1) {
    await pool.during(async () => undefined)
    await clock.advance(300)
  }
  await clock.advance(4_400)
  assert.deepEqual([before, tries()], [1, 3]) // once it was quiet, and 2 s later
  await clock.advance(600_000)
  assert.ok(tries() < 20)
  fail(undefined)
  await clock.advance(60_000)
  assert.deepEqual(there(), ['h1', 'h2'])
  fail(new Error('once'))
  assert.equal(taken(pool.take()), 'h1')
  await pool.during(async () => undefined)
  await clock.advance(600)
  fail(undefined)
  await clock.advance(1_000)
  assert.deepEqual(there(), ['h1', 'h2', 'h3'])
})

test('where there can be none it does not try again', async () => {
  const { clock, pool, there, fail } = aPool()
  fail(new NoHolders('riscv64'))
  pool.open()
  await clock.advance(1_000)
  fail(undefined)
  await clock.advance(100_000)
  assert.deepEqual(there(), [])
  assert.equal(clock.waiting, 0)
})

test('many that wait for their removal are removed though containers are started', async () => {
  const { clock, pool, there } = aPool(80)
  pool.open()
  await clock.advance(1_000)
  const all = Array.from({ length: 80 }, () => pool.take() ?? assert.fail())
  const start = Promise.withResolvers<void>()
  const starting = pool.during(() => start.promise)
  pool.discard(...all)
  await clock.advance(1_000)
  assert.equal(there().length, 64)
  start.resolve()
  await starting
  await pool.close()
})

test('when it is closed, what waits and what was used is removed, one that is being made too', async () => {
  const { clock, pool, there, hold } = aPool()
  pool.open()
  await clock.advance(1_000)
  pool.discard(pool.take() ?? assert.fail())
  const letGo = hold()
  await clock.advance(1_000)
  const closing = pool.close()
  letGo()
  await closing
  assert.deepEqual(there(), [])
  assert.equal(clock.waiting, 0)
  pool.discard({ id: 'late', address: '' })
  await clock.advance(1_000)
  assert.equal(clock.waiting, 0)
})
