import { type Clock, timestamp } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { repeat } from '../lib/repeat.ts'
import type { InstanceView, RefusedName } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Runtime } from './runtime/runtime.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'refusedConnections' | 'refusedNames'>
  /** Writes a line into the instance's own log. */
  readonly journal: (instance: InstanceId, line: string) => void
  readonly clock: Clock
  readonly log: Log
}

const EVERY_MS = 5_000
const LINE =
  'connections of this app to another app, to a private network, or to what its egress does not name, are refused: --egress of its definition can allow them'

/** Tells an app's log, and `shadow why`, that the app tried to connect to what it may not reach. */
export class RefusedConnections implements Disposable {
  readonly #options: Options
  readonly #found = new Map<InstanceId, { at: string; count: number }>()
  /** The refused hosts that its log has. */
  readonly #told = new Map<InstanceId, ReadonlySet<string>>()
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

  /** What was refused to the instance since its container started. */
  viewOf(instance: InstanceId): Pick<InstanceView, 'refusedConnections' | 'refusedNames'> {
    const refusedConnections = this.#found.get(instance)
    const refusedNames = this.#options.runtime.refusedNames().get(instance)
    return { ...(refusedConnections && { refusedConnections }), ...(refusedNames && { refusedNames }) }
  }

  /** Reads the counts once. */
  async read(): Promise<void> {
    const { runtime, journal, clock } = this.#options
    this.#tellNames(runtime.refusedNames())
    const counts = await runtime.refusedConnections()
    for (const id of [...this.#found.keys()]) if (!counts.has(id)) this.#found.delete(id)
    for (const [id, count] of counts) {
      const known = this.#found.get(id)
      if (known?.count === count) continue
      this.#found.set(id, { at: timestamp(clock), count })
      if (known === undefined) journal(id, LINE)
    }
  }

  #tellNames(refused: ReadonlyMap<InstanceId, readonly RefusedName[]>): void {
    for (const id of [...this.#told.keys()]) if (!refused.has(id)) this.#told.delete(id)
    for (const [id, names] of refused) {
      const before = this.#told.get(id)
      for (const { to, why } of names)
        if (before?.has(to) !== true) this.#options.journal(id, `${to} was refused to this app: ${why}`)
      this.#told.set(id, new Set(names.map(({ to }) => to)))
    }
  }

  [Symbol.dispose](): void {
    this.#repeated?.[Symbol.dispose]()
  }
}
