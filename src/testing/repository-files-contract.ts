import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import type { FileType, RepositoryFile, RepositoryFiles } from '../master/backups/repository-files.ts'
import { sha256 } from '../model/digest.ts'
import { volumeId } from '../model/names.ts'

type Options = {
  /** The reason why this store is skipped. */
  readonly skip?: string | false | undefined
}

const MIB = 2 ** 20
const never = new AbortController().signal
let made = 0

/** What every driver of repository files must do. Each call of `open` gives another client of the same store, as two masters have. */
export function describeRepositoryFiles(
  name: string,
  open: () => Promise<RepositoryFiles>,
  { skip = false }: Options = {},
): void {
  const title = `repository files ${name}${skip === false ? '' : ` (skipped: ${skip})`}`
  describe.skipIf(skip !== false)(title, { timeout: 120_000 }, () => {
    for (const bytes of [0, 1, 17 * MIB + 3])
      test(`a file of ${bytes} bytes is read again as it was put, also by another master, whole and in ranges`, async () => {
        const [one, other] = await Promise.all([open(), open()])
        const { file, content } = aFile(bytes)
        await one.put(file, bytes, inChunks(content), never)
        assert.equal(await other.size(file), bytes)
        assert.ok((await read(other, file)).equals(content))
        if (bytes < 2) return
        const part = await other.get(file, { first: 5, last: MIB }, never)
        assert.ok(part && (await buffer(part)).equals(content.subarray(5, MIB + 1)))
      })

    test('what is not there is undefined, is listed as nothing, and is removed with success', async () => {
      const files = await open()
      const { file } = aFile(10)
      assert.equal(await files.size(file), undefined)
      assert.equal(await files.get(file, undefined, never), undefined)
      assert.deepEqual(await listed(files, file.volume, 'data'), [])
      await files.remove(file)
      await files.removeAll(file.volume)
    })

    for (const [what, change] of [
      ['another digest', (content: Buffer) => Buffer.concat([content.subarray(1), Buffer.from('x')])],
      ['fewer bytes than said', (content: Buffer) => content.subarray(1)],
      ['more bytes than said', (content: Buffer) => Buffer.concat([content, Buffer.from('x')])],
    ] as const)
      for (const bytes of [100, 12 * MIB])
        test(`${bytes} bytes of which come ${what} are refused and leave nothing`, async () => {
          const files = await open()
          const { file, content } = aFile(bytes)
          await fails('bad-input', files.put(file, bytes, inChunks(change(content)), never))
          assert.equal(await files.size(file), undefined)
          assert.deepEqual(await listed(files, file.volume, 'data'), [])
        })

    test('an upload that ends early leaves nothing, and can be made again', async () => {
      const files = await open()
      const { file, content } = aFile(9 * MIB)
      const cut = async function* () {
        yield content.subarray(0, 8 * MIB)
        throw new Error('the connection was lost')
      }
      await fails('client-gone', files.put(file, content.length, cut(), never))
      assert.equal(await files.size(file), undefined)
      await files.put(file, content.length, inChunks(content), never)
      assert.ok((await read(files, file)).equals(content))
    })

    test('a file that is there is left as it is, whatever is put over it', async () => {
      const files = await open()
      const { file, content } = aFile(1000)
      await files.put(file, 1000, inChunks(content), never)
      await files.put(file, 1000, inChunks(content), never)
      await files.put(file, 5, inChunks(Buffer.from('other')), never)
      assert.ok((await read(files, file)).equals(content))
    })

    test('of many that make a repository at once, exactly one does', async () => {
      const stores = await Promise.all([open(), open()])
      const file: RepositoryFile = { volume: aVolume(), type: 'config' }
      const made = await Promise.allSettled(
        Array.from({ length: 8 }, (_, n) => stores[n % 2]!.put(file, 1, inChunks(Buffer.from(String(n))), never)),
      )
      const won = made.flatMap(({ status }, n) => (status === 'fulfilled' ? n : []))
      assert.equal(won.length, 1)
      assert.equal((await read(stores[0]!, file)).toString(), String(won[0]))
      for (const one of made)
        if (one.status === 'rejected') assert.ok(isFailure(one.reason, 'already-exists'), String(one.reason))
    })

    test('files are listed by type in the order of their names, with their sizes; removed ones are not', async () => {
      const files = await open()
      const volume = aVolume()
      for (const type of ['data', 'index'] as const) {
        const all = Array.from({ length: 5 }, (_, n) => aFile(20 + n, { volume, type }))
        for (const { file, content } of all) await files.put(file, content.length, inChunks(content), never)
        const wanted = all
          .map(({ file, content }) => ({ name: nameOf(file), bytes: content.length }))
          .sort((a, b) => (a.name < b.name ? -1 : 1))
        assert.deepEqual(await listed(files, volume, type), wanted)
        await files.remove(all[0]!.file)
        assert.deepEqual(
          await listed(files, volume, type),
          wanted.filter(({ name }) => name !== nameOf(all[0]!.file)),
        )
      }
    })

    test('the repository of one volume is removed, and none of a volume whose name begins alike', async () => {
      const files = await open()
      const volume = aVolume()
      const beside = volumeId(`${volume}-2`)
      for (const one of [volume, beside]) {
        await files.put({ volume: one, type: 'config' }, 1, inChunks(Buffer.from('x')), never)
        const { file, content } = aFile(100, { volume: one })
        await files.put(file, 100, inChunks(content), never)
      }
      await files.removeAll(volume)
      assert.equal(await files.size({ volume, type: 'config' }), undefined)
      assert.deepEqual(await listed(files, volume, 'data'), [])
      assert.equal(await files.size({ volume: beside, type: 'config' }), 1)
      assert.equal((await listed(files, beside, 'data')).length, 1)
    })
  })
}

const aVolume = () => volumeId(`v-${process.pid}-${Date.now().toString(36)}-${made++}`)

type Given = { volume?: ReturnType<typeof aVolume>; type?: FileType }

function aFile(bytes: number, { volume = aVolume(), type = 'data' }: Given = {}) {
  const content = randomBytes(bytes)
  const name = sha256(createHash('sha256').update(content).digest('hex'))
  return { file: { volume, type, name } satisfies RepositoryFile, content }
}

const nameOf = (file: RepositoryFile): string => (file.type === 'config' ? '' : file.name)

async function* inChunks(content: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += 60_000) yield content.subarray(at, at + 60_000)
}

async function read(files: RepositoryFiles, file: RepositoryFile): Promise<Buffer> {
  const content = await files.get(file, undefined, never)
  assert.ok(content)
  return buffer(content)
}

const listed = (files: RepositoryFiles, volume: ReturnType<typeof aVolume>, type: FileType) =>
  Array.fromAsync(files.list(volume, type))

async function fails(code: Parameters<typeof isFailure>[1], call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, error => isFailure(error, code))
}
