import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Blobs } from '../master/blobs/blobs.ts'
import { type Sha256, sha256 } from '../model/digest.ts'

type Options = {
  /** The reason why this store is skipped. */
  readonly skip?: string | false | undefined
}

const MIB = 2 ** 20
const never = new AbortController().signal

/** What every driver of blobs must do. Each call of `open` gives another client of the same store, as two masters have. */
export function describeBlobs(name: string, open: () => Promise<Blobs>, { skip = false }: Options = {}): void {
  const title = `blobs ${name}${skip === false ? '' : ` (skipped: ${skip})`}`
  describe.skipIf(skip !== false)(title, { timeout: 120_000 }, () => {
    for (const [what, bytes] of [
      ['no bytes', 0],
      ['a byte', 1],
      ['the size of a part of an upload', 8 * MIB],
      ['many parts and a bit', 17 * MIB + 3],
    ] as const)
      test(`a blob of ${what} is read again as it was put, also by another master`, async () => {
        const [one, other] = await Promise.all([open(), open()])
        const { content, digest } = aBlob(bytes)
        await one.put(digest, inChunks(content), never)
        assert.equal(await other.size(digest), bytes)
        assert.ok((await read(other, digest)).equals(content))
      })

    test('a range of a blob is read by itself', async () => {
      const blobs = await open()
      const { content, digest } = aBlob(10 * MIB)
      await blobs.put(digest, inChunks(content), never)
      for (const [first, last] of [
        [0, 0],
        [5, 9],
        [8 * MIB - 1, 8 * MIB],
        [10 * MIB - 1, 10 * MIB - 1],
      ] as const)
        assert.ok((await read(blobs, digest, { first, last })).equals(content.subarray(first, last + 1)))
    })

    test('a blob that is not there is undefined, and is removed with success', async () => {
      const blobs = await open()
      const { digest } = aBlob(10)
      assert.equal(await blobs.size(digest), undefined)
      assert.equal(await blobs.get(digest, undefined, never), undefined)
      await blobs.remove(digest)
    })

    for (const bytes of [100, 12 * MIB]) {
      test(`${bytes} bytes of another digest are refused and leave nothing`, async () => {
        const blobs = await open()
        const { content } = aBlob(bytes)
        const { digest } = aBlob(bytes)
        await fails('bad-input', blobs.put(digest, inChunks(content), never))
        assert.equal(await blobs.size(digest), undefined)
        assert.deepEqual(await blobs.list(digest, { limit: 10 }), [])
      })

      test(`an upload that ends early after ${bytes} bytes leaves nothing, and can be made again`, async () => {
        const blobs = await open()
        const { content, digest } = aBlob(bytes + 5)
        const cut = async function* () {
          yield content.subarray(0, bytes)
          throw new Error('the connection was lost')
        }
        await fails('client-gone', blobs.put(digest, cut(), never))
        assert.equal(await blobs.size(digest), undefined)
        await blobs.put(digest, inChunks(content), never)
        assert.ok((await read(blobs, digest)).equals(content))
      })
    }

    test('a put that is aborted leaves nothing', async () => {
      const blobs = await open()
      const { content, digest } = aBlob(MIB)
      const leaving = new AbortController()
      const slow = async function* () {
        yield content.subarray(0, 1000)
        leaving.abort(new Error('left'))
        yield content.subarray(1000)
      }
      await assert.rejects(blobs.put(digest, slow(), leaving.signal))
      assert.equal(await blobs.size(digest), undefined)
    })

    test('a blob that is there is left as it is, whatever is put over it', async () => {
      const blobs = await open()
      const { content, digest } = aBlob(1000)
      await blobs.put(digest, inChunks(content), never)
      await blobs.put(digest, inChunks(content), never)
      await blobs.put(digest, inChunks(Buffer.from('other')), never)
      assert.ok((await read(blobs, digest)).equals(content))
    })

    test('the same blob put by many at once is there once, whole', async () => {
      const stores = await Promise.all([open(), open()])
      const { content, digest } = aBlob(9 * MIB)
      await Promise.all(Array.from({ length: 4 }, (_, i) => stores[i % 2]!.put(digest, inChunks(content), never)))
      assert.ok((await read(stores[0]!, digest)).equals(content))
      assert.deepEqual(await stores[1]!.list(digest, { limit: 10 }), [digest])
    })

    test('digests are listed in ascending order, by prefix, after one, up to a limit; removed ones are not', async () => {
      const blobs = await open()
      const all = Array.from({ length: 5 }, () => aBlob(20))
      for (const { content, digest } of all) await blobs.put(digest, inChunks(content), never)
      const digests = all.map(({ digest }) => digest).sort()
      const mine = (found: readonly Sha256[]) => found.filter(digest => digests.includes(digest))
      assert.deepEqual(mine(await blobs.list('', { limit: 1000 })), digests)
      assert.ok((await blobs.list('', { limit: 3 })).length === 3)
      assert.deepEqual(mine(await blobs.list('', { after: digests[2], limit: 1000 })), digests.slice(3))
      assert.deepEqual(await blobs.list(digests[1]!.slice(0, 40), { limit: 10 }), [digests[1]])
      await blobs.remove(digests[0]!)
      assert.deepEqual(mine(await blobs.list('', { limit: 1000 })), digests.slice(1))
    })

    for (const bytes of [0, 100, 17 * MIB + 3]) {
      test(`${bytes} bytes are received by a name that is found out on the way, and read again by another master`, async () => {
        const [one, other] = await Promise.all([open(), open()])
        const { content, digest } = aBlob(bytes)
        const named: unknown[] = []
        const onNamed = async (received: { digest: Sha256; bytes: number }): Promise<void> => {
          named.push(received, await other.size(received.digest))
        }
        for (const expected of [undefined, digest]) {
          await one.remove(digest)
          named.length = 0
          const received = await one.receive(inChunks(content), { expected, named: onNamed }, never)
          assert.deepEqual([received, ...named], [{ digest, bytes }, { digest, bytes }, undefined])
          assert.ok((await read(other, digest)).equals(content))
        }
        await one.receive(inChunks(content), {}, never) // it is there already
        assert.ok((await read(other, digest)).equals(content))
      })

      test(`${bytes} received bytes leave nothing if their name is refused, or is another one than expected`, async () => {
        const blobs = await open()
        const { content, digest } = aBlob(bytes)
        const refuse = async (): Promise<void> => {
          throw new ShadowError('changed', 'no')
        }
        if (bytes > 0) {
          await fails('changed', blobs.receive(inChunks(content), { named: refuse }, never))
          await fails('changed', blobs.receive(inChunks(content), { expected: digest, named: refuse }, never))
        }
        const { digest: other } = aBlob(20)
        await fails('bad-input', blobs.receive(inChunks(content), { expected: other }, never))
        assert.equal(await blobs.size(other), undefined)
        if (bytes > 0) assert.equal(await blobs.size(digest), undefined)
      })
    }

    test('blobs that are there are no leftovers', async () => {
      const blobs = await open()
      const { content, digest } = aBlob(9 * MIB)
      await blobs.receive(inChunks(content), {}, never)
      await blobs.sweep(0)
      assert.ok((await read(blobs, digest)).equals(content))
    })

    test('what is no digest is refused', async () => {
      const blobs = await open()
      for (const text of ['../../etc/passwd', '', 'A'.repeat(64), '.parts'])
        await fails('bad-input', blobs.get(text as Sha256, undefined, never))
    })
  })
}

function aBlob(bytes: number): { content: Buffer; digest: Sha256 } {
  const content = randomBytes(bytes)
  return { content, digest: sha256(createHash('sha256').update(content).digest('hex')) }
}

async function* inChunks(content: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += 60_000) yield content.subarray(at, at + 60_000)
}

async function read(blobs: Blobs, digest: Sha256, range?: { first: number; last: number }): Promise<Buffer> {
  const content = await blobs.get(digest, range, never)
  assert.ok(content)
  return buffer(content)
}

async function fails(code: Parameters<typeof isFailure>[1], call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, error => isFailure(error, code))
}
