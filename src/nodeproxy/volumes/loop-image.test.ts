import assert from 'node:assert/strict'
import { mkdir, readdir, stat, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { volumeId } from '../../model/names.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { growImage, makeImage } from './loop-image.ts'

const TOO_MUCH = 2 ** 52
const wanted = (sizeBytes: number) => ({
  image: join(temporaryFolder('shadow-test-image-'), 'blog/image.ext4'),
  volume: volumeId('blog'),
  sizeBytes,
  overcommit: 10,
  log: noLog,
})
const doesNotFit = (error: unknown): boolean =>
  isFailure(error, 'disk-full') && /^volume blog of 4096TiB does not fit on a disk of \d/.test(error.message)

test('an image that is larger than the whole disk is not begun', async () => {
  const image = wanted(TOO_MUCH)
  await assert.rejects(makeImage(image, { format: () => assert.fail('nothing is formatted') }), doesNotFit)
  assert.deepEqual(await readdir(dirname(image.image)), [])
})

test('an image that is to grow beyond the disk stays as it is, and attached', async () => {
  const image = wanted(8192)
  await mkdir(dirname(image.image))
  await makeImage(image, { format: at => truncate(at, 8192) })
  const grown = growImage({ ...image, sizeBytes: TOO_MUCH }, () => assert.fail('it is not detached'))
  await assert.rejects(grown, doesNotFit)
  assert.equal((await stat(image.image)).size, 8192)
})
