import assert from 'node:assert/strict'
import { test } from 'vitest'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import type { Engine } from './docker-engine.ts'
import { DockerOutput } from './docker-output.ts'

const container = { id: 'c', app: appName('blog'), instance: instanceId(appName('blog')), revision: 1 }

/** An entry in Docker's format, written in the second `at`. */
function entry(at: number, line: string): Buffer {
  const payload = Buffer.from(`2026-11-21T12:51:${String(at).padStart(2, '0')}.000000000Z ${line}\n`)
  const header = Buffer.alloc(8)
  header[0] = 1
  header.writeUInt32BE(payload.length, 4)
  return Buffer.concat([header, payload])
}

type Reading = { readonly entries: readonly Buffer[]; readonly hangs?: boolean; readonly ends?: boolean }

/** Docker with given answers: each follow gets the next reading, and a call with `tail` 1 gets the newest line. */
function engineOf(readings: Reading[], newest: Buffer): Engine {
  let isRunning = true
  return {
    ask: (async () => ({ State: { Running: isRunning } })) as unknown as Engine['ask'],
    async *stream({ options }, signal) {
      if ((options as { tail?: number }).tail === 1) return yield newest
      const { entries, hangs, ends } = readings.shift() ?? { entries: [] }
      yield* entries
      if (hangs)
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
      if (ends) isRunning = false
    },
  }
}

async function linesOf(engine: Engine): Promise<string[]> {
  const lines: string[] = []
  const signal = new AbortController().signal
  for await (const { line } of new DockerOutput(engine).follow(container, '2026-11-21T12:51:00Z', signal))
    lines.push(line)
  return lines
}

test('a reader that hears nothing although more was written begins anew, and tells each line once', async () => {
  const readings = [
    { entries: [entry(1, 'one'), entry(2, 'two')], hangs: true },
    { entries: [entry(2, 'two'), entry(3, 'three')], ends: true },
    { entries: [entry(3, 'three'), entry(4, 'four')] },
  ]
  assert.deepEqual(await linesOf(engineOf(readings, entry(3, 'three'))), ['one', 'two', 'three', 'four'])
})

test('where the line that was told last is gone, lines may be missing, which is told', async () => {
  const readings = [
    { entries: [entry(1, 'one')], hangs: true },
    { entries: [entry(5, 'five')], ends: true },
    { entries: [entry(5, 'five')] },
  ]
  const [one, gap, five, ...more] = await linesOf(engineOf(readings, entry(5, 'five')))
  assert.deepEqual([one, five, more], ['one', 'five', []])
  assert.match(gap ?? '', /lines may be missing here/)
})

test('a stream that ends while the container runs is followed anew', async () => {
  const readings = [
    { entries: [entry(1, 'one')] },
    { entries: [entry(1, 'one'), entry(2, 'two')], ends: true },
    { entries: [] },
  ]
  assert.deepEqual(await linesOf(engineOf(readings, entry(2, 'two'))), ['one', 'two'])
})

test('older lines that Docker tells again in one following are left out, and told of once', async () => {
  const entries = [entry(1, 'one'), entry(5, 'five'), entry(2, 'two'), entry(3, 'three'), entry(6, 'six')]
  const told = await linesOf(engineOf([{ entries, ends: true }, { entries: [entry(6, 'six')] }], entry(6, 'six')))
  assert.deepEqual([told[0], told[1], told[3], told.length], ['one', 'five', 'six', 4])
  assert.match(told[2] ?? '', /older lines again here/)
})

/** A container that has ended with more lines than the one that was read; `lines` reads on. */
async function behind(count: number) {
  const clock = new HandClock()
  const entries = Array.from({ length: count }, (_, index) => entry(index, `${index}`))
  const engine = engineOf([{ entries, ends: true }], entry(count, 'newest'))
  const output = new DockerOutput(engine, clock)
  const lines = output.follow(container, undefined, new AbortController().signal)
  await lines.next()
  let isReleased = false
  void output.untilRead(container).then(() => {
    isReleased = true
  })
  return { clock, lines, isReleased: () => isReleased }
}

test('a container is kept for a slow reader for as long as it gets on, up to ten seconds', async () => {
  const { clock, lines, isReleased } = await behind(20)
  for (let second = 1; second <= 9; second++) {
    await clock.advance(900)
    await lines.next()
    await clock.advance(100)
    assert.equal(isReleased(), false, `after ${second} s`)
  }
  await lines.next()
  await clock.advance(1_000)
  assert.equal(isReleased(), true)
})

test('a container is kept no longer than a second for a reader that does not get on', async () => {
  const { clock, isReleased } = await behind(20)
  await clock.advance(999)
  assert.equal(isReleased(), false)
  await clock.advance(1)
  assert.equal(isReleased(), true)
})
