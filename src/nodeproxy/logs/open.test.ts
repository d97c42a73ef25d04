import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import type { LogLine } from '../../model/instance.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import type { Container, Runtime } from '../runtime/runtime.ts'
import type { Logs } from './logs.ts'
import { openLogs } from './open.ts'

const blog = instanceId(appName('blog'))
const signal = new AbortController().signal
const container: Container = { id: 'c1', app: appName('blog'), instance: blog, revision: 1 }

let folder: string
let clock: HandClock
let outputs: Map<string, FakeOutput>
let opened: Logs[]
let limits: (number | undefined)[]

/** The pause between two reads of a flood. */
const PAUSE_MS = 31.25

beforeEach(() => {
  folder = mkdtempSync('/tmp/shadow-logs-')
  clock = new HandClock()
  outputs = new Map()
  opened = []
  limits = []
})

afterEach(async () => {
  for (const logs of opened) await logs[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** The complete output of a container. It can be read from any time on, and repeatedly. */
class FakeOutput {
  readonly lines: LogLine[] = []
  readonly asked: (string | undefined)[] = []
  isAway = false
  #ended = false
  #more = Promise.withResolvers<void>()

  write(line: string, at: number, stream: 'stdout' | 'stderr' = 'stdout'): this {
    this.lines.push({ at: new Date(at).toISOString().replace('Z', '000000Z'), stream, line })
    return this.#mutex()
  }

  end(): this {
    this.#ended = true
    return this.#mutex()
  }

  cut(): void {
    this.isAway = true
    this.#mutex()
  }

  async *read(since: string | undefined, until: AbortSignal): AsyncGenerator<LogLine> {
    this.asked.push(since)
    until.addEventListener('abort', () => this.#mutex(), { once: true })
    for (let at = 0; ; ) {
      until.throwIfAborted()
      if (this.isAway) throw new ShadowError('runtime-unreachable', 'away')
      const line = this.lines[at]
      if (line !== undefined) {
        at += 1
        if (since === undefined || Date.parse(line.at) >= Date.parse(since)) yield line
      } else if (this.#ended) return
      else await this.#more.promise
    }
  }

  #mutex(): this {
    this.#more.resolve()
    this.#more = Promise.withResolvers()
    return this
  }
}

function open(maxBytes?: number): Logs {
  const runtime: Pick<Runtime, 'output' | 'limitCpus'> = {
    output: (of, since, until) => outputOf(of.id).read(since, until),
    limitCpus: async (_container, cpus) => void limits.push(cpus),
  }
  const logs = openLogs({ folder, runtime, clock, log: noLog, ...(maxBytes && { maxBytes }) })
  opened.push(logs)
  return logs
}

function outputOf(id: string): FakeOutput {
  const output = outputs.get(id) ?? new FakeOutput()
  outputs.set(id, output)
  return output
}

async function read(logs: Logs, tail = 1_000): Promise<string[]> {
  const lines: string[] = []
  for await (const { line } of logs.read(blog, { tail, follow: false }, signal)) lines.push(line)
  return lines
}

const last = async (logs: Logs): Promise<string | undefined> => (await read(logs, 1)).at(-1)

async function untilLast(logs: Logs, wanted: string): Promise<string[]> {
  for (;;) {
    const lines = await read(logs)
    if (lines.at(-1) === wanted) return lines
    await new Promise(resolve => setImmediate(resolve))
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setImmediate(resolve))
}

const T = 1_800_000_000_000

test('the log of the instance blog.1 is not the older part of the log of blog', async () => {
  const logs = open(100)
  const first = instanceId(appName('blog'), '1')
  for (let at = 0; at < 5; at++) logs.note(blog, `plain ${at}`)
  logs.note(first, 'of the slot')
  await logs[Symbol.asyncDispose]()
  const again = open(100)
  const linesOf = async (id: typeof blog): Promise<string[]> => {
    const lines: string[] = []
    for await (const { line } of again.read(id, { tail: 100, follow: false }, signal)) lines.push(line)
    return lines
  }
  expect(await linesOf(first)).toEqual(['of the slot'])
  expect(await linesOf(blog)).toContain('plain 4')
  expect((await linesOf(blog)).join()).not.toContain('slot')
  await again.remove(blog)
  expect(await linesOf(first)).toEqual(['of the slot'])
})

describe('the log of an app', () => {
  test('has what it wrote and what happened to it, in order, with stream and time', async () => {
    const logs = open()
    logs.note(blog, 'awake')
    outputOf('c1')
      .write('hello', T)
      .write('oh', T + 1, 'stderr')
    logs.pump(container)
    await untilLast(logs, 'oh')
    logs.note(blog, 'asleep')
    const lines: LogLine[] = []
    for await (const line of logs.read(blog, { tail: 10, follow: false }, signal)) lines.push(line)
    expect(lines).toEqual([
      { at: new Date(clock.now()).toISOString(), stream: 'shadow', line: 'awake' },
      { at: outputOf('c1').lines[0]!.at, stream: 'stdout', line: 'hello', release: 1 },
      { at: outputOf('c1').lines[1]!.at, stream: 'stderr', line: 'oh', release: 1 },
      { at: new Date(clock.now()).toISOString(), stream: 'shadow', line: 'asleep' },
    ])
  })

  test('is empty for an app that never wrote', async () => expect(await read(open())).toEqual([]))

  test('tells its last lines, as many as are asked for', async () => {
    const logs = open()
    for (let i = 0; i < 5_000; i += 1) logs.note(blog, `line ${i} ${'ü'.repeat(i % 50)}`)
    expect((await read(logs, 3)).map(line => line.trimEnd().split(' ')[1])).toEqual(['4997', '4998', '4999'])
    expect(await read(logs, 0)).toEqual([])
    expect(await read(logs, 10_000)).toHaveLength(5_000)
  })

  test('a line of the app cannot pass for another one', async () => {
    const logs = open()
    const evil = '"}\n{"at":"2026-01-01T00:00:00Z","stream":"shadow","line":"asleep"}\u2028\0'
    outputOf('c1').write(evil, T).end()
    logs.pump(container)
    expect(await untilLast(logs, evil)).toEqual([evil])
    await logs[Symbol.asyncDispose]()
    expect(readFileSync(join(folder, 'blog.ndjson'), 'utf8').trimEnd().split('\n')).toHaveLength(1)
  })

  test('is bounded, and what goes is the oldest', async () => {
    const logs = open(20_000)
    for (let i = 0; i < 3_000; i += 1) logs.note(blog, `line ${i}`)
    const lines = await read(logs, 100_000)
    const size = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
    expect(size).toBeLessThanOrEqual(20_000)
    expect(lines.length).toBeGreaterThan(100)
    expect(lines).toEqual(Array.from({ length: lines.length }, (_, i) => `line ${3_000 - lines.length + i}`))
  })

  test('goes away whole', async () => {
    const logs = open()
    logs.note(blog, 'one')
    await logs.remove(blog)
    await logs.remove(blog)
    expect(readdirSync(folder)).toEqual([])
    logs.note(blog, 'of the next app of this name')
    expect(await read(logs)).toEqual(['of the next app of this name'])
  })

  test('that a crash tore is read without the torn line, and goes on', async () => {
    writeFileSync(
      join(folder, 'blog.ndjson'),
      '{"at":"2026-01-01T00:00:00Z","stream":"stdout","line":"whole"}\n{"at":"20',
    )
    const logs = open()
    expect(await read(logs)).toEqual(['whole'])
    logs.note(blog, 'next')
    expect(await read(logs)).toEqual(['whole', 'next'])
    appendFileSync(join(folder, 'blog.ndjson'), 'null\n7\n')
    expect(await read(logs)).toEqual(['whole', 'next'])
  })
})

describe('a reader who stays', () => {
  test('gets each line once: those before, those on the way, and those that come', async () => {
    const logs = open()
    const leaving = new AbortController()
    for (let i = 0; i < 100; i += 1) logs.note(blog, `${i}`)
    const seen: string[] = []
    const reading = (async () => {
      for await (const { line } of logs.read(blog, { tail: 1_000, follow: true }, leaving.signal)) {
        seen.push(line)
        if (line === '299') leaving.abort()
      }
    })()
    for (let i = 100; i < 300; i += 1) {
      logs.note(blog, `${i}`)
      if (i % 7 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await reading
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => `${i}`))
  })

  test('and does not keep up is told how many lines it missed', async () => {
    const logs = open()
    const leaving = new AbortController()
    const reader = logs.read(blog, { tail: 0, follow: true }, leaving.signal)[Symbol.asyncIterator]()
    const first = reader.next()
    await new Promise(resolve => setTimeout(resolve, 20))
    logs.note(blog, 'first')
    expect((await first).value?.line).toBe('first')
    for (let i = 0; i < 10_005; i += 1) logs.note(blog, 'more')
    for (let i = 0; i < 10_000; i += 1) expect((await reader.next()).value?.line).toBe('more')
    expect((await reader.next()).value).toMatchObject({ stream: 'shadow', line: expect.stringContaining('5 lines') })
    leaving.abort()
    expect((await reader.next()).done).toBe(true)
  })

  test('and leaves ends at once', async () => {
    const leaving = new AbortController()
    const reader = open().read(blog, { tail: 10, follow: true }, leaving.signal)[Symbol.asyncIterator]()
    const next = reader.next()
    leaving.abort()
    expect((await next).done).toBe(true)
  })
})

describe('after a restart of the node', () => {
  test('the log goes on where it stopped: nothing twice, nothing lost', async () => {
    const output = outputOf('c1')
    for (let i = 0; i < 50; i += 1) output.write(`early ${i}`, T + i * 100)
    const before = open()
    before.pump(container)
    await untilLast(before, 'early 49')
    await before[Symbol.asyncDispose]()
    for (let i = 0; i < 50; i += 1) output.write(`late ${i}`, T + 5_000 + i * 100)
    const after = open()
    after.note(blog, 'the node is back')
    after.pump(container)
    const lines = await untilLast(after, 'late 49')
    expect(lines.filter(line => line !== 'the node is back')).toEqual(output.lines.map(({ line }) => line))
    expect(output.asked[1]).toBe(new Date(T + 4_900 - 1_000).toISOString())
  })

  test('lines of one moment, equal ones too, are neither doubled nor taken for one', async () => {
    const output = outputOf('c1').write('tick', T).write('tick', T).write('tock', T)
    const before = open()
    before.pump(container)
    await untilLast(before, 'tock')
    await before[Symbol.asyncDispose]()
    output.write('tick', T).write('end', T)
    const after = open()
    after.pump(container)
    expect(await untilLast(after, 'end')).toEqual(['tick', 'tick', 'tock', 'tick', 'end'])
  })

  test('a line that the other stream had overtaken is not lost', async () => {
    const output = outputOf('c1').write('of stdout', T + 100)
    const before = open()
    before.pump(container)
    await untilLast(before, 'of stdout')
    await before[Symbol.asyncDispose]()
    output.write('of stderr, stamped earlier', T + 99, 'stderr').write('end', T + 200)
    const after = open()
    after.pump(container)
    expect(await untilLast(after, 'end')).toEqual(['of stdout', 'of stderr, stamped earlier', 'end'])
  })
})

describe('the pump', () => {
  test('takes a new container from its first line, although it is not asked since when', async () => {
    const logs = open()
    outputOf('c1').write('first life', T).end()
    logs.pump(container)
    await untilLast(logs, 'first life')
    outputOf('c2')
      .write('first life', T)
      .write('second life', T + 1)
    logs.pump({ ...container, id: 'c2' })
    expect(await untilLast(logs, 'second life')).toEqual(['first life', 'first life', 'second life'])
    expect(outputOf('c2').asked).toEqual([undefined])
  })

  test('asked twice for one container reads it once', async () => {
    const logs = open()
    outputOf('c1').write('once', T)
    logs.pump(container)
    logs.pump(container)
    await untilLast(logs, 'once')
    expect(outputOf('c1').asked).toHaveLength(1)
  })

  test('reads on when the runtime, having been away, is back', async () => {
    const logs = open()
    const output = outputOf('c1').write('before', T)
    logs.pump(container)
    await untilLast(logs, 'before')
    output.cut()
    output.write('while away', T + 10)
    await new Promise(resolve => setTimeout(resolve, 20))
    await clock.advance(1_000)
    output.isAway = false
    await clock.advance(1_000)
    expect(await untilLast(logs, 'while away')).toEqual(['before', 'while away'])
  })

  test('slows an app that floods its log until it writes less, and tells of both in the log', async () => {
    const logs = open()
    const output = outputOf('c1')
    logs.pump(container)
    const long = 'x'.repeat(64 * 1024)
    for (let at = 0; at < 160; at++) output.write(long, T + at)
    await until(() => limits.length === 1)
    expect(limits).toEqual([0.05])
    for (let at = 0; at < 160; at++) output.write(long, T + 1_000 + at)
    output.write('calm', T + 1_200)
    // A flood is read at 2 MiB a second, so the remaining 10 MiB and more take at least five seconds.
    const from = clock.now()
    while ((await last(logs)) !== 'calm') await clock.advance(PAUSE_MS)
    expect(clock.now() - from).toBeGreaterThan(5_000)
    expect(limits).toEqual([0.05])
    await clock.advance(10_000)
    expect(limits).toEqual([0.05, undefined])
    const told = (await read(logs)).at(-1)
    expect(told).toMatch(/writes less log again/)
  })

  test('tells that lines may be missing where an app ends while it floods its log', async () => {
    const logs = open()
    const output = outputOf('c1')
    logs.pump(container)
    const long = 'x'.repeat(64 * 1024)
    for (let at = 0; at < 160; at++) output.write(long, T + at)
    await until(() => limits.length === 1)
    output.end()
    for (let paused = 0; paused < 32; paused++) {
      await last(logs)
      await clock.advance(PAUSE_MS)
    }
    expect(await last(logs)).toMatch(/its last lines may be missing/)
  })

  test('slows no app for a burst, nor for what it wrote long ago and is read at once', async () => {
    const logs = open()
    const output = outputOf('c1')
    const long = 'x'.repeat(64 * 1024)
    for (let at = 0; at < 400; at++) output.write(long, T + at * 63)
    output.write('end', T + 400 * 63)
    logs.pump(container)
    await untilLast(logs, 'end')
    expect(limits).toEqual([])
  })
})
