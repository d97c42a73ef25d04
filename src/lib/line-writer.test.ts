import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { LineWriter } from './line-writer.ts'

let folder: string
let pipe: number
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shadow-lines-'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  pipe = openSync(join(folder, 'pipe'), constants.O_RDWR | constants.O_NONBLOCK)
})
afterEach(() => {
  closeSync(pipe)
  rmSync(folder, { recursive: true })
})

function readAll(): string {
  const parts: string[] = []
  for (;;) {
    const bytes = Buffer.alloc(65_536)
    try {
      parts.push(bytes.toString('utf8', 0, readSync(pipe, bytes)))
    } catch {
      return parts.join('') // EAGAIN: nothing is left
    }
  }
}

test('a full disk (ENOSPC) throws nothing, and each failed attempt is counted', () => {
  const full = openSync('/dev/full', 'w')
  const writer = new LineWriter({ fd: full })
  writer.write('one\n')
  writer.flush()
  assert.equal(writer.failures, 2)
  assert.equal(writer.lost, 0)
  closeSync(full)
  writer.flush() // EBADF
  assert.equal(writer.failures, 3)
})

test('lines that could not be written are written whole and in order when there is room again', () => {
  const writer = new LineWriter({ fd: pipe })
  const lines = Array.from({ length: 5_000 }, (_, i) => `${i} ${'x'.repeat(40)}\n`)
  for (const line of lines) writer.write(line)
  assert.ok(writer.failures > 0, 'the pipe was full')
  let read = ''
  for (let part = readAll(); part !== ''; part = readAll()) {
    read += part
    writer.flush()
  }
  assert.equal(read, lines.join(''))
  assert.equal(writer.lost, 0)
})

test('what is kept in memory is bounded; what is lost beyond it is counted, and told once the log goes on', () => {
  const told: number[] = []
  const writer = new LineWriter({ fd: pipe, onRecovered: lost => told.push(lost) })
  const line = `${'x'.repeat(99)}\n`
  for (let i = 0; i < 20_000; i += 1) writer.write(line)
  assert.ok(writer.lost > 0)
  let bytes = 0
  for (let part = readAll(); part !== ''; part = readAll()) {
    bytes += part.length
    writer.flush()
  }
  assert.equal(bytes + writer.lost * 100, 20_000 * 100)
  assert.deepEqual(told, [writer.lost])
})
