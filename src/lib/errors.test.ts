import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'vitest'
import { asShadowError, isNoSpace } from './errors.ts'

const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => assert.fail('it did not fail'),
    error => error,
  )

test('a write to a full disk is told as disk-full, whoever has made it', async () => {
  const thrown = await thrownBy(writeFile('/dev/full', 'x'))
  const { code, cause } = asShadowError(thrown)
  assert.deepEqual([code, cause], ['disk-full', thrown])
})

test('a user with too many watches, of which the kernel says the same, has a disk with room', () => {
  const thrown = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'watch' })
  assert.deepEqual([isNoSpace(thrown), asShadowError(thrown).code], [false, 'internal'])
})
