import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'
import { increments } from './increments.ts'

const ROUNDS = 20
const RACERS = 20

type Options = {
  /** The reason why this store is skipped. */
  skip?: string | false | undefined
}

/** What every storage driver must do. Each call of `open` gives another client of the same store, as two masters have. */
export function describeStorage(name: string, open: () => Promise<Storage>, { skip = false }: Options = {}): void {
  const title = `storage ${name}${skip === false ? '' : ` (skipped: ${skip})`}`
  describe.skipIf(skip !== false)(title, { timeout: 120_000 }, () => {
    let count = 0
    const fresh = (): string => `contract/${process.pid}-${Date.now()}-${count++}`

    test('what was created is read again with the etag of its creation', async () => {
      const storage = await open()
      const key = `${fresh()}.json`
      const etag = await storage.create(key, { text: 'grüße\n"\u2028', deep: [{ a: null }] })
      assert.deepEqual(await storage.get(key), { value: { text: 'grüße\n"\u2028', deep: [{ a: null }] }, etag })
    })

    test('a document that is not there is undefined', async () => {
      assert.equal(await (await open()).get(`${fresh()}.json`), undefined)
    })

    test('a second create fails with already-exists and changes nothing', async () => {
      const storage = await open()
      const key = `${fresh()}.json`
      await storage.create(key, { n: 1 })
      await rejectsWith('already-exists', storage.create(key, { n: 2 }))
      assert.deepEqual((await storage.get(key))?.value, { n: 1 })
    })

    test('an update of the version that was read replaces it whole', async () => {
      const storage = await open()
      const key = `${fresh()}.json`
      const first = await storage.create(key, { a: 1, b: 1 })
      const second = await storage.update(key, { a: 2 }, first)
      assert.deepEqual(await storage.get(key), { value: { a: 2 }, etag: second })
    })

    test('an update of an older version fails with changed, even where the content has come back', async () => {
      const storage = await open()
      const key = `${fresh()}.json`
      const first = await storage.create(key, { n: 1 })
      const second = await storage.update(key, { n: 2 }, first)
      await storage.update(key, { n: 1 }, second)
      await rejectsWith('changed', storage.update(key, { n: 3 }, first))
    })

    test('an update of what is not there fails with changed and makes nothing', async () => {
      const storage = await open()
      const [key, other] = [`${fresh()}.json`, `${fresh()}.json`]
      const etag = await storage.create(other, {})
      await rejectsWith('changed', storage.update(key, {}, etag))
      assert.equal(await storage.get(key), undefined)
    })

    test('remove may be repeated, and the key can be created anew', async () => {
      const storage = await open()
      const key = `${fresh()}.json`
      await storage.create(key, { n: 1 })
      await storage.remove(key)
      await storage.remove(key)
      assert.equal(await storage.get(key), undefined)
      await storage.create(key, { n: 2 })
      assert.deepEqual((await storage.get(key))?.value, { n: 2 })
    })

    test('keys are listed in ascending order, by prefix, after a key, up to a limit', async () => {
      const storage = await open()
      const folder = fresh()
      const names = ['a', 'a-b', 'a.b', 'b', 'b0', 'c/d', 'z']
      for (const one of names.toReversed()) await storage.create(`${folder}/${one}.json`, {})
      const keys = ['a-b', 'a', 'a.b', 'b', 'b0', 'c/d', 'z'].map(one => `${folder}/${one}.json`).sort()
      assert.deepEqual(await storage.list(`${folder}/`), keys)
      assert.deepEqual(
        await storage.list(`${folder}/b`),
        keys.filter(key => key.startsWith(`${folder}/b`)),
      )
      assert.deepEqual(await storage.list(`${folder}/`, { after: keys[1], limit: 2 }), keys.slice(2, 4))
      assert.deepEqual(await storage.list(`${folder}-none/`), [])
    })

    test('a hostname as long as they come is a key like any other', async () => {
      const storage = await open()
      const folder = fresh()
      const long = `${folder}/${`${'a'.repeat(61)}.`.repeat(4).slice(0, 247)}.json`
      await storage.create(long, { n: 1 })
      assert.deepEqual((await storage.get(long))?.value, { n: 1 })
      assert.deepEqual(await storage.list(`${folder}/`), [long])
    })

    for (const key of [
      '../out.json',
      'a/../../out.json',
      '/etc/out.json',
      'a//b.json',
      '.lock',
      'a/.b.json',
      'a\\b.json',
      'a\0.json',
      '',
    ])
      test(`${JSON.stringify(key)} is no key`, async () => {
        const storage = await open()
        await rejectsWith('bad-input', storage.get(key))
        await rejectsWith('bad-input', storage.create(key, {}))
        await rejectsWith('bad-input', storage.remove(key))
      })

    test(`of ${RACERS} who create, exactly one wins, ${ROUNDS} times over, and it is the winner's that stays`, async () => {
      const stores = await Promise.all([open(), open()])
      for (let round = 0; round < ROUNDS; round++) {
        const key = `${fresh()}.json`
        const winners = await race(racer => stores[racer % 2]!.create(key, { racer }), 'already-exists')
        assert.equal(winners.length, 1)
        assert.deepEqual((await stores[0]!.get(key))?.value, { racer: winners[0] })
      }
    })

    test(`of ${RACERS} who update one version, exactly one wins, ${ROUNDS} times over, and it is the winner's that stays`, async () => {
      const stores = await Promise.all([open(), open()])
      const key = `${fresh()}.json`
      let etag = await stores[0]!.create(key, {})
      for (let round = 0; round < ROUNDS; round++) {
        const winners = await race(racer => stores[racer % 2]!.update(key, { racer }, etag), 'changed')
        assert.equal(winners.length, 1)
        const now = await stores[0]!.get(key)
        assert.deepEqual(now?.value, { racer: winners[0] })
        etag = now!.etag
      }
    })

    test('no increment of a counter is lost among writers who try again', async () => {
      const stores = await Promise.all([open(), open()])
      const key = `${fresh()}.json`
      await stores[0]!.create(key, { n: 0 })
      await Promise.all(Array.from({ length: 8 }, (_, writer) => increments(stores[writer % 2]!, key, 10)))
      assert.deepEqual((await stores[1]!.get(key))?.value, { n: 80 })
    })
  })
}

async function race(run: (racer: number) => Promise<string>, lost: 'already-exists' | 'changed'): Promise<number[]> {
  const results = await Promise.allSettled(Array.from({ length: RACERS }, (_, racer) => run(racer)))
  return results.flatMap((result, racer) => {
    if (result.status === 'fulfilled') return racer
    if (!isFailure(result.reason, lost)) throw result.reason
    return []
  })
}

async function rejectsWith(code: Parameters<typeof isFailure>[1], call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, error => isFailure(error, code))
}
