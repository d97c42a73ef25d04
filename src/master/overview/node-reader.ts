import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ControlledNode } from '../nodes.ts'
import type { NodeSummaries, SummariesOf } from './node-summaries.ts'
import type { OverviewIndex } from './overview-index.ts'

/** The pause between two answers of a node: changes that are closer are told together. */
const PAUSE_MS = 500
/** A node that does not answer is silent after this time, besides the time for which it was asked to wait for a change. */
const ANSWERS_WITHIN_MS = 1_500
/** How long a node waits for a change before it answers that there is none: longer if there are many nodes. */
const waitMs = (nodes: number): number => Math.min(15_000, Math.max(1_000, nodes * 10))

type Parts = {
  readonly node: ControlledNode
  readonly read: SummariesOf
  readonly index: OverviewIndex
  readonly clock: Clock
  /** How many nodes there are. */
  readonly nodes: number
}

/** Reads what changes on one node, until it is disposed or the signal aborts. */
export class NodeReader implements Disposable {
  /** The node, as it last announced itself. */
  node: ControlledNode
  /** Resolves when the node has answered for the first time, or has not in time. */
  readonly first: Promise<void>
  readonly #parts: Parts
  readonly #ending = new AbortController()

  constructor(parts: Parts, signal: AbortSignal) {
    this.#parts = parts
    this.node = parts.node
    const first = Promise.withResolvers<void>()
    this.first = first.promise
    void this.#run(first.resolve, AbortSignal.any([signal, this.#ending.signal]))
  }

  async #run(onAnswer: () => void, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    let version: string | undefined
    while (!signal.aborted) {
      version = await this.#readOnce(version, signal)
      onAnswer()
      await pause(clock, PAUSE_MS, signal).catch(() => undefined) // an abort ends the loop at its head
    }
    onAnswer()
  }

  async #readOnce(since: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    const { read, index, nodes } = this.#parts
    const { name } = this.node
    const wait = since === undefined ? 0 : waitMs(nodes)
    let answer: NodeSummaries
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(wait + ANSWERS_WITHIN_MS)])
      answer = await read(this.node, since, wait, within)
    } catch {
      if (!signal.aborted) index.setNode(name, true)
      return undefined // when it is back, all is read again
    }
    if (signal.aborted) return undefined
    index.setNode(name, false)
    if (answer.isWhole) index.setInstances(name, answer.items)
    else index.changeInstances(name, answer.items, answer.gone)
    return answer.version
  }

  [Symbol.dispose](): void {
    this.#ending.abort()
  }
}
