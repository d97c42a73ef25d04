import { isDeepStrictEqual } from 'node:util'
import type { MasterClient } from '../../api/client.ts'
import { DnsViewSchema } from '../../api/dns-calls.ts'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { DnsView } from '../../model/dns.ts'
import { FRONT_ANNOUNCES_EVERY } from '../../model/intervals.ts'
import type { LocalStore } from '../local-store.ts'

type Options = {
  readonly master: Pick<MasterClient, 'call'>
  /** The name by which this front reports. */
  readonly front: string
  readonly addresses: readonly string[]
  readonly isNameServer: boolean
  readonly store: LocalStore
  readonly clock: Clock
  readonly log: Log
}

const KEY = 'dns view'
/** How long a front that stops waits for a master to hear of it. */
const LEAVES_WITHIN_MS = 2_000

/** Tells the masters where clients reach this front, and learns from them what its name server answers. */
export class Announcer {
  readonly #options: Options
  #view: DnsView | undefined
  #isWell = true
  #isLeaving = false

  constructor(options: Options) {
    this.#options = options
    // What it knew before its restart counts as long as no master answers.
    const kept = DnsViewSchema.safeParse(options.store.get(KEY))
    this.#view = kept.success ? kept.data : undefined
  }

  /** What the masters said last; undefined: nothing yet. */
  get view(): DnsView | undefined {
    return this.#view
  }

  /** Announces this front until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      await this.#announce()
      await pause(clock, FRONT_ANNOUNCES_EVERY, signal).catch(() => undefined) // an abort ends the loop at its head
    }
  }

  /** Tells that this front is about to stop, so that clients are led to others. Never rejects. */
  async leave(): Promise<void> {
    this.#isLeaving = true
    await this.#announce(AbortSignal.timeout(LEAVES_WITHIN_MS))
  }

  async #announce(signal?: AbortSignal): Promise<void> {
    const { master, front, addresses, isNameServer, store, log } = this.#options
    const isLeaving = this.#isLeaving
    try {
      const body = { addresses: [...addresses], isNameServer, isLeaving }
      const said = await master.call('announceFront', { params: { front }, body, ...(signal && { signal }) })
      const view = DnsViewSchema.parse(said)
      if (!isDeepStrictEqual(view, this.#view)) store.set(KEY, view)
      this.#view = view
      if (!this.#isWell) log.info('public addresses are announced again')
      this.#isWell = true
    } catch (cause) {
      // Logged once: the masters may be away for a long time, and the last answers serve on.
      if (this.#isWell) log.warn('public addresses not announced', { code: asShadowError(cause).code, cause })
      this.#isWell = false
    }
    // This call may have overtaken the one that tells the leave, so it is told again.
    if (this.#isLeaving && !isLeaving) await this.#announce(signal)
  }
}
