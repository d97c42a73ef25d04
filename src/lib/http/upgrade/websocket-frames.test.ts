import assert from 'node:assert/strict'
import { test } from 'vitest'
import { FrameBoundaries } from './websocket-frames.ts'

const short = Buffer.from([0x81, 0x03, 1, 2, 3])
const empty = Buffer.from([0x89, 0x00])
const masked = Buffer.from([0x81, 0x82, 9, 9, 9, 9, 1, 2])
const medium = Buffer.concat([Buffer.from([0x82, 126, 0x01, 0x00]), Buffer.alloc(256)])
const large = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(65_536)])
const frames = [short, empty, masked, medium, large, short]

test('boundaries are found wherever the bytes are cut', () => {
  const all = Buffer.concat(frames)
  const ends = new Set<number>()
  let sum = 0
  for (const frame of frames) {
    sum += frame.length
    ends.add(sum)
  }
  for (const size of [1, 2, 3, 7, 100, 1_000, all.length]) {
    const boundaries = new FrameBoundaries()
    for (let at = 0; at < all.length; at += size) {
      const chunk = all.subarray(at, at + size)
      const found = boundaries.push(chunk)
      const last = [...ends].filter(end => end > at && end <= at + chunk.length).at(-1)
      assert.equal(found, last === undefined ? -1 : last - at, `cut by ${size} at ${at}`)
      assert.equal(boundaries.atBoundary, last === at + chunk.length)
    }
  }
})
