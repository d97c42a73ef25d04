import { type Clock, timestamp } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { repeat } from '../lib/repeat.ts'
import type { InstanceView } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Runtime } from './runtime/runtime.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'refusedConnections'>
  /** Writes a line into the instance's own log. */
  readonly journal: (instance: InstanceId, line: string) => void
  readonly clock: Clock
  readonly log: Log
}

const EVERY_MS = 5_000
const LINE =
  'connections of this app to another app, or to a private network, are refused: --egress of its definition can allow them'

/** Tells an app's log, and `shadow why`, that the app tried to connect to what it may not reach. */
export class RefusedConnections implements Disposable {
  readonly #options: Options
  readonly #found = new Map<InstanceId, { at: string; count: number }>()
  #repeated: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Reads the counts every five seconds from now on, until it is disposed of. */
  start(): void {
    const { clock, log } = this.#options
    this.#repeated = repeat(
      clock,
      EVERY_MS,
      () => this.read(),
      cause => log.debug('refused connections not read', { cause }),
    )
  }

  /** What was refused to the instance since its container started; undefined: nothing. */
  of(instance: InstanceId): InstanceView['refusedConnections'] {
    return this.#found.get(instance)
  }

  /** Reads the counts once. */
  async read(): Promise<void> {
    const { runtime, journal, clock } = this.#options
    const counts = await runtime.refusedConnections()
    for (const id of [...this.#found.keys()]) if (!counts.has(id)) this.#found.delete(id)
    for (const [id, count] of counts) {
      const known = this.#found.get(id)
      if (known?.count === count) continue
      this.#found.set(id, { at: timestamp(clock), count })
      if (known === undefined) journal(id, LINE)
    }
  }

  [Symbol.dispose](): void {
    this.#repeated?.[Symbol.dispose]()
  }
}
