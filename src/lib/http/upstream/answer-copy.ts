import type { CopiedAnswer, NextHop } from '../next-hop.ts'
import { BodyFramer } from '../wire/body-framer.ts'
import type { Framing, Head } from '../wire/head.ts'

/** Collects a copy of an answer while it is forwarded. It is given up once it is larger than the next hop wants. */
export class AnswerCopy {
  readonly #wanted: NonNullable<NextHop['copy']>
  readonly #answer: Omit<CopiedAnswer, 'body'>
  readonly #body = new BodyFramer({ ofAnswers: true })
  #parts: Buffer[] | undefined = []
  #bytes = 0

  /** The copy of an answer with this head; undefined if none is wanted. */
  static of(hop: NextHop, head: Head, framing: Framing): AnswerCopy | undefined {
    if (hop.copy === undefined || head.contentLength > hop.copy.mostBytes) return undefined
    const fields: (readonly [string, string])[] = []
    for (let slot = 0; slot < head.count; slot += 1) fields.push([head.name(slot).toLowerCase(), head.value(slot)])
    const answer = { status: head.status, fields }
    return hop.copy.wants(answer) ? new AnswerCopy(hop.copy, answer, framing, head.contentLength) : undefined
  }

  constructor(
    wanted: NonNullable<NextHop['copy']>,
    answer: Omit<CopiedAnswer, 'body'>,
    framing: Framing,
    length: number,
  ) {
    this.#wanted = wanted
    this.#answer = answer
    this.#body.start(framing, length, true)
    if (this.#body.done) this.#finish()
  }

  received(bytes: Buffer, from: number, end: number): void {
    const body = this.#body
    for (let at = from; this.#parts !== undefined && !body.done && at < end; at = body.next) {
      const stop = body.take(bytes, at, end)
      this.#bytes += stop - at
      if (body.fault !== undefined || this.#bytes > this.#wanted.mostBytes) this.#parts = undefined
      else if (stop > at) this.#parts.push(Buffer.from(bytes.subarray(at, stop)))
    }
    if (body.done) this.#finish()
  }

  /** The upstream has closed, which ends a body without framing. */
  ended(): void {
    if (!this.#body.done && this.#body.end()) this.#finish()
  }

  #finish(): void {
    const parts = this.#parts
    this.#parts = undefined
    if (parts !== undefined) this.#wanted.taken({ ...this.#answer, body: Buffer.concat(parts) })
  }
}
