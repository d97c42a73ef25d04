import assert from 'node:assert/strict'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { exec } from '../../lib/exec.ts'
import { dataExtents, extentsIn } from './data-extents.ts'

const MIB = 2 ** 20
const PRINTED = `Filesystem type is: ef53
File size of image is 1050000 (257 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..     129:    3684352..   3684481:    130:
   1:      130..     130:    3684485..   3684485:      1:   3684482:
   2:      256..     256:    3670544..   3670544:      1:    3713008: last,unwritten,eof
image: 3 extents found
`

test('the map of filefrag is read: neighbours are one, and nothing is beyond the end of the file', () => {
  const last = 256 * 4096
  assert.deepEqual(extentsIn(PRINTED, 1_050_000), [
    [0, 131 * 4096],
    [last, 1_050_000 - last],
  ])
  assert.deepEqual(extentsIn('image: 0 extents found\n', MIB), [])
})

test('a sparse file has data where it was written, and nowhere else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-test-extents-'))
  const path = join(folder, 'image')
  {
    await using file = await open(path, 'wx')
    await file.truncate(64 * MIB)
    await file.write('here', 20 * MIB)
  }
  const found = await dataExtents(path, exec, { isAtRest: true })
  assert.ok(found.some(([at, length]) => at <= 20 * MIB && at + length > 20 * MIB))
  assert.ok(found.reduce((sum, [, length]) => sum + length, 0) < MIB)
  await rm(folder, { recursive: true })
})

test('where no map can be had, or one that is too short, the whole file counts as data', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-test-extents-'))
  const path = join(folder, 'image')
  await writeFile(path, Buffer.alloc(MIB, 'x'))
  const failing = () => Promise.reject(new Error('no filefrag'))
  assert.deepEqual(await dataExtents(path, failing, { isAtRest: true }), [[0, MIB]])
  assert.deepEqual(await dataExtents(path, async () => 'image: 0 extents found\n', { isAtRest: true }), [[0, MIB]])
  await rm(folder, { recursive: true })
})
