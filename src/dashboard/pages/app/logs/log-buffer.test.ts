import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { LogLine } from '../../../../model/instance.ts'
import { LogBuffer } from './log-buffer.ts'

const lines = (from: number, count: number): LogLine[] =>
  Array.from({ length: count }, (_, at) => ({
    at: '2026-11-29T10:00:00.000Z',
    stream: 'stdout',
    line: `line ${from + at}`,
  }))
const shown = (buffer: LogBuffer): string[] => buffer.blocks.flatMap(({ lines }) => lines.map(({ line }) => line))

test('lines stay in their order, however they come', () => {
  const buffer = new LogBuffer(5_000)
  let next = 0
  for (const count of [1, 0, 250, 3, 199, 1_000]) {
    buffer.add(lines(next, count))
    next += count
  }
  assert.deepEqual(
    shown(buffer),
    lines(0, next).map(({ line }) => line),
  )
  assert.equal(buffer.count, next)
})

test('it keeps the newest lines, and counts those that it let go of', () => {
  const buffer = new LogBuffer(1_000)
  for (let at = 0; at < 100; at++) buffer.add(lines(at * 77, 77))
  const kept = shown(buffer)
  assert.ok(kept.length >= 1_000 && kept.length < 1_200, String(kept.length))
  assert.equal(kept.at(-1), 'line 7699')
  assert.equal(buffer.dropped + kept.length, 7_700)
  assert.equal(buffer.count, kept.length)
})

test('one batch that is larger than it keeps leaves the end of it', () => {
  const buffer = new LogBuffer(1_000)
  buffer.add(lines(0, 50_000))
  assert.equal(shown(buffer).at(-1), 'line 49999')
  assert.ok(buffer.count < 1_200)
})

test('full blocks are the same objects afterwards, so that they are not drawn again', () => {
  const buffer = new LogBuffer(5_000)
  buffer.add(lines(0, 450))
  const [first, second] = buffer.blocks
  buffer.add(lines(450, 10))
  assert.equal(buffer.blocks[0], first)
  assert.equal(buffer.blocks[1], second)
  assert.equal(new Set(buffer.blocks.map(({ id }) => id)).size, buffer.blocks.length)
})

test('cleared, it is empty, and goes on with other ids', () => {
  const buffer = new LogBuffer(5_000)
  buffer.add(lines(0, 3))
  buffer.clear()
  assert.deepEqual([buffer.count, buffer.blocks.length], [0, 0])
  buffer.add(lines(3, 1))
  assert.deepEqual([buffer.blocks[0]?.lines[0]?.id, buffer.count], [3, 1])
})
