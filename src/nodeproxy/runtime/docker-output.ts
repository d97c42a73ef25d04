import { resolvesWithin } from '../../lib/abort.ts'
import { systemClock } from '../../lib/clock.ts'
import type { LogLine } from '../../model/instance.ts'
import type { Engine } from './docker-engine.ts'
import { LastLine, linesOf, sinceOf } from './output.ts'
import type { Container } from './runtime.ts'

const READ_WITHIN_MS = 1_000
const LAST_WITHIN_MS = 5_000

/** What containers write, and who reads it: a container is not to be removed before those have read it to its end. */
export class DockerOutput {
  readonly #engine: Engine
  readonly #readers = new Map<string, Set<Promise<void>>>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The output as it comes, until the container ends; aborting throws the signal's reason. */
  async *follow(container: Container, since: string | undefined, signal: AbortSignal): AsyncGenerator<LogLine> {
    const reading = Promise.withResolvers<void>()
    const ofContainer = this.#readers.get(container.id) ?? new Set()
    this.#readers.set(container.id, ofContainer.add(reading.promise))
    const leave = (): void => reading.resolve()
    signal.addEventListener('abort', leave, { once: true })
    const last = new LastLine()
    try {
      for await (const line of this.#read(container, { follow: true, since }, signal)) {
        last.saw(line)
        yield line
      }
      // Docker ends a stream that it follows a little early at times (moby/moby#43860): the rest is read from what it has stored.
      for await (const line of this.#read(container, { follow: false, since: last.since ?? since }, signal))
        if (last.isBefore(line)) yield line
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
      ofContainer.delete(reading.promise)
      if (ofContainer.size === 0) this.#readers.delete(container.id)
    }
  }

  /** The last lines that it has written so far. */
  async last(container: Container, count: number): Promise<string[]> {
    const lines: string[] = []
    const signal = AbortSignal.timeout(LAST_WITHIN_MS)
    for await (const { line } of this.#read(container, { follow: false, tail: count }, signal)) lines.push(line)
    return lines
  }

  /** Resolves when all who follow the container have read to its end or left, or had their time. */
  async untilRead(container: Container): Promise<void> {
    await resolvesWithin(Promise.all(this.#readers.get(container.id) ?? []), systemClock, READ_WITHIN_MS)
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
