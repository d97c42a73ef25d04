import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'vitest'
import { drained } from './drained.ts'

/** A stream that takes no more until it is read. */
function aFull(): PassThrough {
  const stream = new PassThrough({ highWaterMark: 1 })
  stream.write('ab')
  assert.ok(stream.writableNeedDrain)
  return stream
}

test('a stream that is full is waited for until it is read', async () => {
  const stream = aFull()
  let isOver = false
  const waiting = drained(stream).then(() => {
    isOver = true
  })
  await new Promise(setImmediate)
  assert.equal(isOver, false)
  stream.resume()
  await waiting
  assert.deepEqual([stream.listenerCount('close'), stream.listenerCount('drain')], [0, 0])
})

test('a stream that is closed while it is full is not waited for any longer', async () => {
  const stream = aFull()
  const waiting = drained(stream)
  stream.destroy()
  await waiting
  await drained(stream)
})

test('a stream that takes more is not waited for', async () => {
  await drained(new PassThrough())
})
