import assert from 'node:assert/strict'
import { test } from 'vitest'
import { byteReader } from '../byte-reader.ts'
import { padding, readRecords, TAR_END, tarHeader } from './header.ts'
import { nextEntry } from './read.ts'

const wrong = () => new Error('wrong')
const entryOf = (bytes: Buffer) =>
  nextEntry(
    byteReader(pieces(bytes), () => new Error('cut short')),
    wrong,
  )
async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
}

for (const header of [
  { name: 'app.json', size: 0 },
  { name: 'volume/image', size: 8_589_934_591 },
  { name: 'volume/image', size: 2 ** 40 },
  { name: 'image', size: 12, pax: { 'GNU.sparse.name': 'volume/ein Bild – größer', 'GNU.sparse.realsize': '99999' } },
  { name: 'x', size: 1, pax: { a: 'b'.repeat(83), c: 'd'.repeat(84), e: 'f'.repeat(991) } },
])
  test(`the header of ${header.name} with ${header.size} bytes is read as it was written`, async () => {
    const { pax = {}, ...read } = (await entryOf(tarHeader(header, 1_700_000_000))) ?? {}
    const { size: _, ...records } = pax as Record<string, string>
    assert.deepEqual({ ...read, pax: records }, { pax: {}, ...header })
  })

test('an archive has an end, and no other end counts', async () => {
  assert.equal(await entryOf(TAR_END), undefined)
  await assert.rejects(entryOf(Buffer.alloc(512)), /cut short/)
  await assert.rejects(entryOf(Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 1)])), /wrong/)
  const records = tarHeader({ name: 'x', size: 1, pax: { a: 'b' } }, 0).subarray(0, 1024)
  await assert.rejects(entryOf(Buffer.concat([records, TAR_END])), /wrong/)
})

test('a header that was changed, and one of a link, a folder or a device, is refused', async () => {
  const header = tarHeader({ name: 'x', size: 1 }, 0)
  for (const at of [0, 124, 156, 200]) {
    const changed = Buffer.from(header)
    changed[at] = 0x35
    await assert.rejects(entryOf(changed), /wrong/, `changed at ${at}`)
  }
})

for (const [text, records] of [
  ['6 a=b\n', { a: 'b' }],
  ['6 a=b\n8 c==d\n\n', { a: 'b', c: '=d\n' }],
  ['7 a=b\n', undefined],
  ['5 a=b\n', undefined],
  ['0 a=b\n', undefined],
  ['-6 a=b\n', undefined],
  ['a=b\n', undefined],
  ['6 a-b\n', undefined],
  ['', {}],
] as const)
  test(`the records ${JSON.stringify(text)} are ${records === undefined ? 'refused' : 'read'}`, () =>
    assert.deepEqual(readRecords(Buffer.from(text)), records))

test('a body is filled up to whole blocks', () => {
  assert.deepEqual(
    [0, 1, 511, 512, 513].map(size => padding(size).length),
    [0, 511, 1, 0, 511],
  )
})
