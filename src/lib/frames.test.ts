import assert from 'node:assert/strict'
import { test } from 'vitest'
import { encodeFrame, readFrames } from './frames.ts'

const fault = (message: string): Error => new Error(message)

async function read(bytes: Buffer, piece: number): Promise<string[]> {
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece)
  }
  const found: string[] = []
  for await (const { type, payload } of readFrames(chunks(), 100, fault)) found.push(`${type} ${payload}`)
  return found
}

const bytes = Buffer.concat([
  encodeFrame(1, Buffer.from('hello')),
  encodeFrame(2),
  encodeFrame(255, Buffer.alloc(100, 'x')),
])

for (const piece of [1, 3, 5, 7, 1000])
  test(`frames are read whole, however the stream is cut: by ${piece} bytes`, async () => {
    assert.deepEqual(await read(bytes, piece), ['1 hello', '2 ', `255 ${'x'.repeat(100)}`])
  })

test('a frame that is too long is refused by its header, before its bytes have come', async () => {
  await assert.rejects(read(encodeFrame(1, Buffer.alloc(101)).subarray(0, 5), 5), /101 bytes came; 100 are allowed/)
})

test('a stream that ends within a frame is a fault', async () => {
  await assert.rejects(read(bytes.subarray(0, -1), 10), /ended within a frame/)
})
