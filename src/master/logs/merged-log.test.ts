import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { LogLine } from '../../model/instance.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { type LogSource, type MergedParts, mergedLog } from './merged-log.ts'

const START = Date.parse('2027-01-15T00:00:00Z')
const web = (slot: string | undefined, node: string): LogSource => ({
  instance: instanceId(appName('web'), slot),
  node: nodeName(node),
})

/** Logs of instances that tests write to; `cut` breaks the connections that are open. */
class Logs implements MergedParts {
  readonly clock = new HandClock(START)
  readonly sources: LogSource[] = []
  silent: readonly string[] = []
  readonly #lines = new Map<string, LogLine[]>()
  #cuts = new AbortController()
  #written = Promise.withResolvers<void>()

  write({ instance, node }: LogSource, seconds: number, line: string): void {
    const key = `${node} ${instance}`
    const at = new Date(START + 1_000 * seconds).toISOString()
    this.#lines.set(key, [...(this.#lines.get(key) ?? []), { at, stream: 'stdout', line }])
    this.#written.resolve()
    this.#written = Promise.withResolvers()
  }

  /** Writes a line now. */
  writeNow(source: LogSource, line: string): void {
    this.write(source, (this.clock.wall() - START) / 1_000, line)
  }

  cut(): void {
    this.#cuts.abort(new Error('cut'))
    this.#cuts = new AbortController()
  }

  list = async () => ({ sources: this.sources, silent: this.silent.map(nodeName) })

  async *read(
    { instance, node }: LogSource,
    { tail, follow, since }: Parameters<MergedParts['read']>[1],
    signal: AbortSignal,
  ) {
    const of = () => this.#lines.get(`${node} ${instance}`) ?? []
    let had = of().length
    const wanted = of().filter(({ at }) => since === undefined || at >= since)
    yield* tail === 0 ? [] : wanted.slice(-tail)
    const cut = this.#cuts.signal
    while (follow) {
      const ended = new Promise((_, reject) => {
        for (const one of [cut, signal]) one.addEventListener('abort', () => reject(one.reason), { once: true })
      })
      ended.catch(() => undefined)
      if (of().length === had) await Promise.race([this.#written.promise, ended])
      yield* of().slice(had)
      had = of().length
    }
  }
}

const never = new AbortController().signal
const said = (lines: readonly LogLine[]) => lines.map(({ instance, line }) => `${instance}: ${line}`)

test('lines of all instances come in the order of their times, and the last of them are chosen over all', async () => {
  const logs = new Logs()
  const [a, b, c] = [web(undefined, 'n1'), web('2', 'n2'), web('3', 'n2')]
  logs.sources.push(a, b, c)
  for (const [source, seconds, line] of [
    [a, 1, 'one'],
    [b, 2, 'two'],
    [a, 3, 'three'],
    [c, 4, 'four'],
    [b, 5, 'five'],
  ] as const)
    logs.write(source, seconds, line)
  const all = await Array.fromAsync(mergedLog(logs, { tail: 100, follow: false }, never))
  assert.deepEqual(said(all), ['web: one', 'web.2: two', 'web: three', 'web.3: four', 'web.2: five'])
  const last = await Array.fromAsync(mergedLog(logs, { tail: 2, follow: false }, never))
  assert.deepEqual(said(last), ['web.3: four', 'web.2: five'])
})

test('a node that does not answer is told of, and the others are read', async () => {
  const logs = new Logs()
  logs.sources.push(web(undefined, 'n1'))
  logs.silent = ['n9']
  logs.write(web(undefined, 'n1'), 1, 'one')
  const lines = await Array.fromAsync(mergedLog(logs, { tail: 10, follow: false }, never))
  assert.match(lines[0]?.line ?? '', /the node n9 does not answer/)
  assert.equal(lines[1]?.line, 'one')
})

test('what comes later is followed: of new instances too, and over a lost connection without a line twice', async () => {
  const logs = new Logs()
  const [a, b] = [web(undefined, 'n1'), web('2', 'n2')]
  logs.sources.push(a)
  logs.writeNow(a, 'one')
  const ending = new AbortController()
  const got: LogLine[] = []
  const reading = (async () => {
    for await (const line of mergedLog(logs, { tail: 10, follow: true }, ending.signal)) got.push(line)
  })()
  const pass = async (done: () => boolean): Promise<void> => {
    for (let steps = 0; !done(); steps++) {
      assert.ok(steps < 1_000, `it never came to hold; instead: ${said(got)}`)
      await logs.clock.advance(100)
    }
  }
  await pass(() => got.length === 1)
  logs.writeNow(a, 'two')
  await pass(() => got.length === 2)
  logs.sources.push(b)
  logs.writeNow(b, 'from another')
  await pass(() => got.length === 3)
  logs.cut()
  logs.writeNow(a, 'after')
  logs.writeNow(a, 'and more')
  await pass(() => got.length === 5)
  ending.abort()
  await reading
  assert.deepEqual(said(got), ['web: one', 'web: two', 'web.2: from another', 'web: after', 'web: and more'])
})
