import { expect, test } from 'vitest'
import { LastLine, linesOf, sinceOf } from './output.ts'

const AT = '2026-11-21T12:51:38.000000001Z'

const frame = (stream: 1 | 2, text: string | Buffer, at = AT): Buffer => {
  const payload = Buffer.concat([Buffer.from(`${at} `), Buffer.from(text)])
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(payload.length, 4)
  return Buffer.concat([header, payload])
}

async function read(bytes: Buffer, step = bytes.length) {
  async function* chunks() {
    for (let i = 0; i < bytes.length; i += step) yield bytes.subarray(i, i + step)
  }
  const lines = []
  for await (const line of linesOf(chunks())) lines.push(line)
  return lines
}

test('lines of both streams come in their order, however the bytes are cut', async () => {
  const bytes = Buffer.concat([frame(1, 'ä one\n'), frame(2, 'oh\n'), frame(1, '\n'), frame(1, 'two three\n')])
  for (const step of [1, 2, 7, 40, bytes.length])
    expect(await read(bytes, step)).toEqual([
      { at: AT, stream: 'stdout', line: 'ä one' },
      { at: AT, stream: 'stderr', line: 'oh' },
      { at: AT, stream: 'stdout', line: '' },
      { at: AT, stream: 'stdout', line: 'two three' },
    ])
})

test('an entry that goes on in later frames is one line, also when the other stream speaks in between', async () => {
  const lines = await read(Buffer.concat([frame(1, 'be'), frame(2, 'aside\n'), frame(1, 'gin'), frame(1, ' end\n')]))
  expect(lines.map(({ line }) => line)).toEqual(['aside', 'begin end'])
})

test('a last line without its end is told when the stream ends', async () => {
  expect((await read(frame(2, 'no newline'))).map(({ line }) => line)).toEqual(['no newline'])
})

test('a line without end is told in bounded pieces, none of its characters cut', async () => {
  const pieces = Array.from({ length: 20 }, () => frame(1, 'ü'.repeat(8_000)))
  const lines = await read(Buffer.concat([...pieces, frame(1, 'end\n')]))
  expect(lines.map(({ line }) => line).join('')).toBe(`${'ü'.repeat(160_000)}end`)
  for (const { line } of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(64 * 1024)
})

test('bytes that are no text do no harm', async () => {
  expect((await read(frame(1, Buffer.from([0, 0xff, 0xfe, 0x41, 0x0a]))))[0]?.line).toBe('\0\ufffd\ufffdA')
})

test('since keeps the nanoseconds', () => {
  expect(sinceOf('2026-11-21T12:51:38.123456789Z')).toBe(`${Date.parse('2026-11-21T12:51:38Z') / 1000}.123456789`)
  expect(sinceOf('2026-11-21T12:51:38.5Z')).toBe(`${Date.parse('2026-11-21T12:51:38Z') / 1000}.500000000`)
  expect(sinceOf('2026-11-21T12:51:38Z')).toBe(`${Date.parse('2026-11-21T12:51:38Z') / 1000}.000000000`)
})

test('lines that are read again are known by their time, and by their number where they share one', () => {
  const last = new LastLine()
  const lines = ['1', '2', '2', '2', '3'].map(at => ({ at, stream: 'stdout', line: 'x' }) as const)
  for (const line of lines.slice(0, 3)) last.saw(line)
  expect(lines.slice(1).filter(line => last.isBefore(line))).toEqual(lines.slice(3))
  expect(lines.filter(line => new LastLine().isBefore(line))).toEqual(lines)
})

test('the streams of one container have each their own order: where one is told late, nothing is read twice', () => {
  const last = new LastLine()
  const out = (at: string) => ({ at, stream: 'stdout', line: 'x' }) as const
  const err = (at: string) => ({ at, stream: 'stderr', line: 'x' }) as const
  const lines = [out('1'), out('3'), out('4'), err('2'), out('5'), err('6')]
  for (const line of lines.slice(0, 4)) last.saw(line)
  expect(last.since).toBe('2')
  expect(lines.slice(1).filter(line => last.isBefore(line))).toEqual(lines.slice(4))
})

test('where one stream was never seen, reading goes on from a second before', () => {
  const last = new LastLine()
  expect(last.since).toBe(undefined)
  last.saw({ at: AT, stream: 'stdout', line: 'x' })
  expect(last.since).toBe('2026-11-21T12:51:37.000Z')
})

test('where the line that was seen last is not there when it is read again, lines may be missing', () => {
  const last = new LastLine()
  const out = (at: string) => ({ at, stream: 'stdout', line: 'x' }) as const
  expect(last.hasGapBefore(out('1'))).toBe(false)
  last.saw(out('2'))
  last.again()
  expect([last.isBefore(out('2')), last.isBefore(out('3')), last.hasGapBefore(out('3'))]).toEqual([false, true, false])
  last.again()
  expect([last.isBefore(out('3')), last.hasGapBefore(out('3'))]).toEqual([true, true])
  expect([last.isOlderThan(out('2')), last.isOlderThan(out('3'))]).toEqual([false, true])
})

test('a line that is told again within one following is known, by its time and its text', () => {
  const last = new LastLine()
  const at = (time: string, line: string) => ({ at: time, stream: 'stdout', line }) as const
  const told = [at('1', 'a'), at('2', 'b'), at('2', 'c'), at('3', 'd')]
  for (const line of told) {
    expect(last.hasPassed(line)).toBe(false)
    last.saw(line)
  }
  expect([at('2', 'c'), at('3', 'd')].map(line => last.hasPassed(line))).toEqual([true, true])
  expect([at('3', 'e'), at('4', 'd')].map(line => last.hasPassed(line))).toEqual([false, false])
})
