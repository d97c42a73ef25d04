import { pause, resolvesWithin } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { LogLine } from '../../model/instance.ts'
import type { Engine } from './docker-engine.ts'
import { LastLine, linesOf, sinceOf } from './output.ts'
import type { Container } from './runtime.ts'
import { GAP, StallWatch } from './stalls.ts'

// A reader that has not got on for so long is not waited for, nor any reader for longer than the second.
const STUCK_AFTER_MS = 1_000
const READ_WITHIN_MS = 10_000
const LAST_WITHIN_MS = 5_000
// Between two followings: Docker may say for a moment that a container runs whose output has ended.
const AGAIN_AFTER_MS = 20
const AGAIN =
  'Docker told older lines again here, at a rotation of its files: they are left out, and lines may be missing here'

type Reader = { readonly done: Promise<void>; lines: number }

/** The output of containers, and its readers. A container must not be removed before they have read its output to the end. */
export class DockerOutput {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #readers = new Map<string, Set<Reader>>()

  constructor(engine: Engine, clock = systemClock) {
    this.#engine = engine
    this.#clock = clock
  }

  /** The output as it comes, until the container ends; aborting throws the signal's reason. */
  async *follow(container: Container, since: string | undefined, signal: AbortSignal): AsyncGenerator<LogLine> {
    const reading = Promise.withResolvers<void>()
    const reader: Reader = { done: reading.promise, lines: 0 }
    const ofContainer = this.#readers.get(container.id) ?? new Set()
    this.#readers.set(container.id, ofContainer.add(reader))
    const leave = (): void => reading.resolve()
    signal.addEventListener('abort', leave, { once: true })
    try {
      yield* this.#untilEnd(container, since, reader, signal)
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
      ofContainer.delete(reader)
      if (ofContainer.size === 0) this.#readers.delete(container.id)
    }
  }

  /** Follows until the container has ended, anew where Docker's own following stalls or ends before the container does. */
  async *#untilEnd(
    container: Container,
    since: string | undefined,
    reader: Reader,
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const last = new LastLine()
    for (;;) {
      const isRunning = await this.#isRunning(container)
      const from = last.since ?? since
      using stall = new StallWatch({
        fromStart: from === undefined,
        isBehind: async () => {
          const [newest] = await this.#newest(container, 1)
          return newest !== undefined && last.isOlderThan(newest)
        },
      })
      const either = AbortSignal.any([signal, stall.signal])
      const caughtUp = new Set<LogLine['stream']>()
      let goesBack = false
      last.again()
      try {
        // Docker ends a stream that it follows a little early at times (moby/moby#43860): the rest is read from what it has stored.
        const lines = this.#read(container, { follow: isRunning, since: from }, either)
        for await (const line of stall.watch(lines)) {
          reader.lines++
          if (line.stream === 'shadow') {
            yield line
            continue
          }
          if (!caughtUp.has(line.stream)) {
            if (!last.isBefore(line)) continue
            if (last.hasGapBefore(line)) yield { at: line.at, stream: 'shadow', line: GAP }
            caughtUp.add(line.stream)
          } else if (last.hasPassed(line)) {
            // At a rotation Docker goes back in its files. Older lines are left out, with one note for all of them.
            if (!goesBack) yield { at: line.at, stream: 'shadow', line: AGAIN }
            goesBack = true
            continue
          }
          goesBack = false
          last.saw(line)
          yield line
        }
      } catch (error) {
        if (signal.aborted || !stall.signal.aborted) throw error
      }
      if (!isRunning) return
      await pause(this.#clock, AGAIN_AFTER_MS, signal)
    }
  }

  async #isRunning({ id }: Container): Promise<boolean> {
    const found = await this.#engine.ask(docker => docker.getContainer(id).inspect())
    return found.State.Running
  }

  /** The last lines that it has written so far. */
  async last(container: Container, count: number): Promise<string[]> {
    return (await this.#newest(container, count)).map(({ line }) => line)
  }

  async #newest(container: Container, count: number): Promise<LogLine[]> {
    const signal = AbortSignal.timeout(LAST_WITHIN_MS)
    return Array.fromAsync(this.#read(container, { follow: false, tail: count }, signal))
  }

  /** Resolves when all readers have read to the end or left, at the latest after READ_WITHIN_MS; sooner if none of them gets on. */
  async untilRead(container: Container): Promise<void> {
    const readers = [...(this.#readers.get(container.id) ?? [])]
    const allDone = Promise.all(readers.map(({ done }) => done))
    const lines = (): number => readers.reduce((sum, reader) => sum + reader.lines, 0)
    const end = this.#clock.now() + READ_WITHIN_MS
    for (let before = -1; before !== lines() && this.#clock.now() < end; ) {
      before = lines()
      if (await resolvesWithin(allDone, this.#clock, STUCK_AFTER_MS)) return
    }
  }

  #read(
    container: Container,
    { follow, since, tail }: { follow: boolean; since?: string | undefined; tail?: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const options = {
      stdout: true,
      stderr: true,
      timestamps: true,
      follow,
      ...(since !== undefined && { since: sinceOf(since) }),
      ...(tail !== undefined && { tail }),
    }
    const path = `/containers/${encodeURIComponent(container.id)}/logs?`
    return linesOf(this.#engine.stream({ method: 'GET', path, options }, signal))
  }
}
