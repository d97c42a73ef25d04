import { type Clock, timestamp } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { repeat } from '../lib/repeat.ts'
import type { InstanceView } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import type { Runtime } from './runtime/runtime.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'refusedConnections'>
  /** Writes a line into the app's own log. */
  readonly journal: (app: AppName, line: string) => void
  readonly clock: Clock
  readonly log: Log
}

const EVERY_MS = 5_000
const LINE =
  'connections of this app to another app, or to a private network, are refused: --egress of its definition can allow them'

/** Tells an app's log, and `shadow why`, that the app tried to connect to what it may not reach. */
export class RefusedConnections implements Disposable {
  readonly #options: Options
  readonly #found = new Map<AppName, { at: string; count: number }>()
  #repeated: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Looks from now on every five seconds, until it is disposed of. */
  start(): void {
    const { clock, log } = this.#options
    this.#repeated = repeat(
      clock,
      EVERY_MS,
      () => this.look(),
      cause => log.debug('refused connections not looked at', { cause }),
    )
  }

  /** What was refused to the app since its container started; undefined: nothing. */
  of(app: AppName): InstanceView['refusedConnections'] {
    return this.#found.get(app)
  }

  /** Looks once. */
  async look(): Promise<void> {
    const { runtime, journal, clock } = this.#options
    const counts = await runtime.refusedConnections()
    for (const app of [...this.#found.keys()]) if (!counts.has(app)) this.#found.delete(app)
    for (const [app, count] of counts) {
      const known = this.#found.get(app)
      if (known?.count === count) continue
      this.#found.set(app, { at: timestamp(clock), count })
      if (known === undefined) journal(app, LINE)
    }
  }

  [Symbol.dispose](): void {
    this.#repeated?.[Symbol.dispose]()
  }
}
