import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName } from '../../model/names.ts'
import type { ControlledNode } from '../nodes.ts'
import { NodeReader } from './node-reader.ts'
import type { SummariesOf } from './node-summaries.ts'
import type { OverviewIndex } from './overview-index.ts'

const LISTED_EVERY_MS = 5_000

type Parts = {
  readonly nodes: () => Promise<readonly ControlledNode[]>
  readonly read: SummariesOf
  readonly index: OverviewIndex
  readonly clock: Clock
  readonly log: Log
}

/** Keeps the instances of all nodes in the index: one reader for each node, however many pages look. */
export class NodeFeed {
  readonly #parts: Parts
  readonly #readers = new Map<NodeName, NodeReader>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Starts to read, until the signal aborts. Resolves when each node has answered, or has not in time. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    await this.#list(signal)
    const go = async (): Promise<void> => {
      while (!signal.aborted) {
        await pause(clock, LISTED_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop at its head
        if (!signal.aborted)
          await this.#list(signal).catch(cause => log.debug('nodes not listed for the overview', { cause }))
      }
    }
    void go()
    await Promise.all(Array.from(this.#readers.values(), reader => reader.first))
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { index, clock, read } = this.#parts
    const nodes = await this.#parts.nodes()
    const names = new Set(nodes.map(({ name }) => name))
    for (const [name, reader] of this.#readers) {
      if (names.has(name)) continue
      reader[Symbol.dispose]()
      this.#readers.delete(name)
      index.removeNode(name)
    }
    for (const node of nodes) {
      const reader = this.#readers.get(node.name)
      if (reader !== undefined) reader.node = node
      else this.#readers.set(node.name, new NodeReader({ node, read, index, clock, nodes: nodes.length }, signal))
    }
  }
}
