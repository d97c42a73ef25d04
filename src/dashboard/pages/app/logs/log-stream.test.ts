import assert from 'node:assert/strict'
import { afterEach, test, vi } from 'vitest'
import type { LogLine } from '../../../../model/instance.ts'
import { readLog } from './log-stream.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const line = (seconds: number, text: string): LogLine => ({
  at: new Date(Date.UTC(2026, 10, 29, 10, 0, seconds)).toISOString(),
  stream: 'stdout',
  line: text,
})
const bytes = (...lines: LogLine[]): Uint8Array =>
  new TextEncoder().encode(lines.map(one => `${JSON.stringify(one)}\n`).join(''))

/** An answer that sends these pieces, then ends, is cut, or stays open. */
const answer = (pieces: readonly Uint8Array[], end: 'close' | 'cut' | 'open' = 'close'): Response =>
  new Response(
    new ReadableStream(
      {
        start(controller) {
          for (const piece of pieces) controller.enqueue(piece)
          if (end === 'close') controller.close()
        },
        pull(controller) {
          if (end === 'cut') controller.error(new TypeError('network error'))
        },
      },
      { highWaterMark: 0 },
    ),
  )

/** Reads a log from these answers, one after the other; `asked` are the queries. */
function reading(answers: readonly (Response | Error)[], { isLive = false, query = {} } = {}) {
  const asked: URLSearchParams[] = []
  const left = [...answers]
  vi.stubGlobal('fetch', async (url: string) => {
    asked.push(new URL(url, 'http://x.test').searchParams)
    const next = left.shift()
    if (next instanceof Response) return next
    throw next ?? new TypeError('nobody answers')
  })
  const got: string[] = []
  const states: string[] = []
  const ending = new AbortController()
  const done = readLog({
    app: 'blog',
    query,
    tail: 100,
    isLive,
    signal: ending.signal,
    take: async lines => void got.push(...lines.map(one => one.line)),
    onState: state => states.push(state),
  })
  return { asked, got, states, done, end: () => ending.abort() }
}

test('lines come whole, wherever the pieces were cut', async () => {
  const all = bytes(line(1, 'smörgåsbord ✓'), line(2, 'two'), line(3, ''))
  const pieces = Array.from(all, byte => Uint8Array.of(byte))
  const { done, got, asked } = reading([answer(pieces)], { query: { grep: 'a b', since: '1h' } })
  await done
  assert.deepEqual(got, ['smörgåsbord ✓', 'two', ''])
  assert.deepEqual(Object.fromEntries(asked[0] ?? []), { grep: 'a b', since: '1h', follow: 'false', tail: '100' })
})

test('a lost connection is made again from the last line on, and no line comes twice', async () => {
  vi.useFakeTimers()
  const first = answer([bytes(line(1, 'one'), line(2, 'two'))], 'cut')
  const second = answer([bytes(line(2, 'two'), line(3, 'three'))], 'open')
  const log = reading([first, new TypeError('nobody answers'), second], { isLive: true })
  await vi.advanceTimersByTimeAsync(10_000)
  assert.deepEqual(log.got, ['one', 'two', 'three'])
  assert.deepEqual(log.states, ['live', 'lost', 'lost', 'live'])
  assert.equal(log.asked[2]?.get('since'), line(2, '').at)
  log.end()
})

test('a log that cannot be read at all fails with what the master says', async () => {
  const problem = { code: 'bad-input', detail: 'grep: is not a regular expression' }
  const refused = new Response(JSON.stringify(problem), { status: 400 })
  await assert.rejects(reading([refused], { isLive: true }).done, { code: 'bad-input', message: problem.detail })
})

test('an app that is removed meanwhile is not asked for again', async () => {
  vi.useFakeTimers()
  const gone = new Response(JSON.stringify({ code: 'app-not-found', detail: 'gone' }), { status: 404 })
  const log = reading([answer([bytes(line(1, 'one'))]), gone], { isLive: true })
  const failed = assert.rejects(log.done, { code: 'app-not-found' })
  await vi.advanceTimersByTimeAsync(10_000)
  await failed
  assert.equal(log.asked.length, 2)
})
