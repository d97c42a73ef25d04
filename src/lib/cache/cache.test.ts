import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { Cache, FETCH_AGAIN_AFTER_MS } from './cache.ts'
import type { Versioned } from './cache-options.ts'
import { Freshness } from './freshness.ts'

const PROVEN_FOR_MS = 1_800
const WAIT_MS = 1_000
const ABSENT_FOR_MS = 2_000

class Gone extends Error {}
class Refused extends Error {}
class Away extends Error {}

type Stored = Map<string, Versioned<string>>
type Given = { most?: number; staleAfterMs?: number; stored?: Stored; mayFetch?: () => boolean; isSame?: boolean }

/** A cache, and a source that the test controls. */
function aCache({ stored = new Map(), isSame = false, ...given }: Given = {}) {
  const clock = new HandClock()
  const freshness = new Freshness(clock, PROVEN_FOR_MS)
  const source = {
    values: new Map<string, string>(),
    fails: undefined as Error | undefined,
    /** The source computes each answer at once, and delivers it when this promise resolves. */
    gate: Promise.resolve(),
    asked: [] as string[],
  }
  const changes: string[] = []
  const cache = new Cache<string, string>({
    fetch: async (key, known) => {
      source.asked.push(`${key} ${known?.version ?? '-'}`)
      const value = source.values.get(key)
      const { fails } = source
      await source.gate
      if (fails !== undefined) throw fails
      if (value === undefined) throw new Gone(`${key} is gone`)
      return value === known?.version ? 'same' : { value, version: value }
    },
    failed: error => (error instanceof Gone ? 'gone' : error instanceof Refused ? 'refused' : 'serve'),
    freshness,
    clock,
    waitMs: WAIT_MS,
    store: {
      read: key => stored.get(key),
      keep: (key, document) => void stored.set(key, document),
      forget: key => void stored.delete(key),
    },
    absent: { forMs: ABSENT_FOR_MS, most: 2, error: key => new Error(`${key} is absent`) },
    onChange: (key, value, before) => void changes.push(`${key}: ${before} → ${value}`),
    ...(isSame && { isSame: () => true }),
    ...given,
  })
  const asked = (): string[] => source.asked.splice(0)
  const opened = (): void => freshness.opened()
  const hold = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    source.gate = promise
    return () => {
      resolve()
      source.gate = Promise.resolve()
    }
  }
  return { cache, clock, freshness, source, stored, changes, asked, opened, hold }
}

/** A cache that has `a` with the value 1, checked in the current term. */
async function aFreshOne(given: Given = {}) {
  const made = aCache(given)
  made.opened()
  made.source.values.set('a', '1')
  await made.cache.get('a')
  made.asked()
  return made
}

test('a value is asked for once by all who want it at the same time, then served at once, and kept', async () => {
  const { cache, source, stored, asked, opened } = aCache()
  opened()
  source.values.set('a', '1')
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('a'), cache.checked('a')]), ['1', '1', '1'])
  assert.deepEqual([cache.get('a'), cache.fresh('a'), asked(), stored.get('a')?.version], ['1', '1', ['a -'], '1'])
})

test('a value of an earlier term is checked first, by its version', async () => {
  const { cache, source, asked, opened } = await aFreshOne()
  opened()
  assert.deepEqual([cache.fresh('a'), cache.unchecked], [undefined, ['a']])
  source.values.set('a', '2')
  assert.equal(await cache.get('a'), '2')
  assert.deepEqual([cache.get('a'), cache.unchecked, asked()], ['2', [], ['a 1']])
  opened()
  assert.equal(await cache.get('a'), '2', 'the source has nothing newer')
  assert.deepEqual([cache.get('a'), asked()], ['2', ['a 2']])
})

test('a newer value is seen within two seconds, however the stream of changes broke', async () => {
  for (const breaks of ['ended', 'fell silent'] as const) {
    const { cache, clock, freshness, source } = await aFreshOne()
    source.values.set('a', '2')
    if (breaks === 'ended') freshness.ended()
    await clock.advance(2_000)
    assert.equal(await cache.get('a'), '2', breaks)
  }
})

test('in doubt the source is asked first, but about one key only once a second', async () => {
  const { cache, clock, freshness, asked } = await aFreshOne()
  freshness.ended()
  assert.equal(cache.get('a'), '1')
  await clock.advance(FETCH_AGAIN_AFTER_MS)
  const first = cache.get('a')
  assert(first instanceof Promise)
  assert.equal(await first, '1')
  assert.deepEqual([cache.get('a'), asked()], ['1', ['a 1']])
})

test('a source that is away is asked behind the requests, also about other keys, until it answers again', async () => {
  const { cache, clock, freshness, source, asked } = await aFreshOne()
  source.values.set('b', '1')
  await cache.get('b')
  freshness.ended()
  source.fails = new Away()
  await clock.advance(FETCH_AGAIN_AFTER_MS)
  assert.equal(await cache.get('a'), '1')
  assert.equal(cache.get('b'), '1')
  await clock.advance(FETCH_AGAIN_AFTER_MS)
  source.fails = undefined
  source.values.set('a', '2')
  assert.equal(cache.get('a'), '1')
  await clock.advance(FETCH_AGAIN_AFTER_MS)
  assert(cache.get('a') instanceof Promise)
  assert.deepEqual([await cache.get('a'), asked()], ['2', ['b -', 'a 1', 'b 1', 'a 1', 'a 2']])
})

test('a source that is silent is waited for once, for no longer than it may take', async () => {
  const { cache, clock, freshness, hold } = await aFreshOne()
  freshness.ended()
  const answers = hold()
  await clock.advance(FETCH_AGAIN_AFTER_MS)
  let served: string | undefined
  void Promise.resolve(cache.get('a')).then(value => {
    served = value
  })
  await clock.advance(WAIT_MS - 1)
  assert.equal(served, undefined)
  await clock.advance(1)
  assert.equal(served, '1')
  assert.equal(cache.get('a'), '1', 'nobody waits again')
  answers()
})

for (const isFirst of [true, false]) {
  const which = isFirst ? 'a first question' : 'a later question'
  /** A fetch in progress: its answer has the value 1, but the source has 2 by now. */
  const underWay = async () => {
    const made = isFirst ? aCache() : await aFreshOne()
    if (isFirst) made.opened()
    made.source.values.set('a', '1')
    const answers = made.hold()
    const fetching = made.cache.checked('a')
    made.source.values.set('a', '2')
    return { ...made, answers, fetching }
  }

  test(`an answer that was made before a change is not fresh: ${which}`, async () => {
    const { cache, answers, fetching } = await underWay()
    cache.doubt('a')
    answers()
    await fetching
    assert.deepEqual([cache.known('a'), cache.fresh('a')], ['1', undefined])
    assert.equal(await cache.get('a'), '2')
  })

  test(`a change that is told of during a question is asked about after it: ${which}`, async () => {
    const { cache, clock, asked, answers } = await underWay()
    asked()
    void cache.changed('a')
    answers()
    await clock.advance(0)
    assert.deepEqual([cache.known('a'), cache.fresh('a'), asked()], ['2', '2', ['a 1']])
  })

  test(`an answer from before the term is not fresh in it: ${which}`, async () => {
    const { cache, opened, answers, fetching } = await underWay()
    opened()
    answers()
    await fetching
    assert.deepEqual([cache.known('a'), cache.fresh('a')], ['1', undefined])
    assert.equal(await cache.get('a'), '2')
  })
}

test('a change tells whether the source has answered, and never fails', async () => {
  const { cache, source } = await aFreshOne()
  assert.equal(await cache.changed('a'), true)
  assert.equal(await cache.changed('unknown'), true)
  source.fails = new Away()
  assert.equal(await cache.changed('a'), false)
  source.fails = new Refused()
  assert.equal(await cache.changed('a'), true)
})

test('a value that is gone is dropped here and in the store, and whoever asked is told', async () => {
  const { cache, source, stored, changes } = await aFreshOne()
  source.values.clear()
  cache.doubt('a')
  await assert.rejects(Promise.resolve(cache.get('a')), Gone)
  assert.deepEqual([cache.known('a'), stored.size, changes.at(-1)], [undefined, 0, 'a: 1 → undefined'])
})

test('a value that is refused stays with its owner, and whoever asked is told', async () => {
  const { cache, source, stored } = await aFreshOne()
  source.fails = new Refused()
  await assert.rejects(cache.checked('a'), Refused)
  assert.deepEqual([cache.known('a'), stored.size], ['1', 1])
})

test('an answer that comes after the value was dropped does not bring it back', async () => {
  const { cache, source, stored, hold } = await aFreshOne()
  source.values.set('a', '2')
  const answers = hold()
  const fetching = cache.checked('a')
  cache.forget('a')
  answers()
  await fetching
  assert.deepEqual([cache.known('a'), stored.size], [undefined, 0])
})

test('a key without a value is asked about once in its time, and at once when the term is new or it is said to have changed', async () => {
  const { cache, clock, opened, asked } = aCache()
  opened()
  const isAsked = async (): Promise<boolean> => {
    await assert.rejects(async () => cache.get('a'))
    return asked().length > 0
  }
  assert.deepEqual([await isAsked(), await isAsked()], [true, false])
  await clock.advance(ABSENT_FOR_MS)
  assert.deepEqual([await isAsked(), await isAsked()], [true, false])
  opened()
  assert.deepEqual([await isAsked(), await isAsked()], [true, false])
  cache.doubt('a')
  assert.deepEqual([await isAsked(), await isAsked()], [true, false])
})

test('as many keys without a value are remembered as there may be', async () => {
  const { cache, asked } = aCache()
  for (const key of ['a', 'b', 'c', 'c', 'b', 'a']) await assert.rejects(async () => cache.get(key))
  assert.deepEqual(asked(), ['a -', 'b -', 'c -', 'a -'])
})

test('as many values are kept as there may be; the oldest goes, and stays in the store', async () => {
  const { cache, source, stored } = await aFreshOne({ most: 1 })
  source.values.set('b', '1')
  await cache.get('b')
  assert.deepEqual([cache.all, [...stored.keys()]], [[['b', '1']], ['a', 'b']])
})

test('a key may be refused a question', async () => {
  const { cache, asked } = aCache({ mayFetch: () => false })
  await assert.rejects(async () => cache.get('a'), /a is absent/)
  assert.deepEqual(asked(), [])
})

test('a stored value serves when the source is away at its first question, and is checked once it is back', async () => {
  const stored: Stored = new Map([['a', { value: '1', version: '1' }]])
  const { cache, source, opened } = aCache({ stored })
  source.fails = new Away()
  assert.equal(await cache.get('a'), '1')
  await assert.rejects(Promise.resolve(cache.get('b')), Away)
  source.fails = undefined
  source.values.set('a', '2')
  opened()
  assert.equal(await cache.get('a'), '2')
})

test('a value that was loaded is known, but checked before it serves as fresh; nobody is told of it', async () => {
  const { cache, source, changes, opened } = aCache()
  opened()
  cache.load('a', { value: '1', version: '1' })
  source.values.set('a', '2')
  assert.deepEqual([cache.known('a'), cache.fresh('a'), changes], ['1', undefined, []])
  assert.equal(await cache.get('a'), '2')
  assert.deepEqual(changes, ['a: 1 → 2'])
})

test('a fresh value that is old is checked behind whoever uses it', async () => {
  const { cache, clock, freshness, asked } = await aFreshOne({ staleAfterMs: 15_000 })
  await clock.advance(15_000)
  freshness.proven()
  assert.deepEqual([cache.get('a'), cache.get('a'), asked()], ['1', '1', ['a 1']])
})

test('a value that is the same stays the same object', async () => {
  const { cache, source, changes } = await aFreshOne({ isSame: true })
  source.values.set('a', '2')
  await cache.changed('a')
  assert.deepEqual([cache.get('a'), changes.length], ['1', 1])
})

test('which values were used lately is known', async () => {
  const { cache, clock, source } = await aFreshOne()
  await clock.advance(60_000)
  source.values.set('b', '1')
  await cache.get('b')
  assert.deepEqual(cache.usedWithin(59_999), ['b'])
  assert.deepEqual(cache.usedWithin(60_000), ['a', 'b'])
})
