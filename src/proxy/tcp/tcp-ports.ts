import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Route } from '../../model/route.ts'
import type { FrontPort } from '../../model/tcp.ts'
import type { TcpListeners } from './tcp-listeners.ts'

type Options = {
  readonly listeners: Pick<TcpListeners, 'update'>
  readonly master: Pick<MasterClient, 'call'>
  /** The name by which this front reports. */
  readonly front: string
  readonly clock: Clock
  readonly log: Log
}

/** What was reported counts for the masters for two hours. */
const REPORTED_EVERY_MS = 3_600_000

/** Keeps the open ports of this front in step with what apps ask for, and tells the masters of what it could not open. */
export class TcpPorts {
  readonly #options: Options
  #reported = '[]'
  #reportedAt = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** There is a new list of apps, or the last one was confirmed. */
  async listed(routes: readonly Route[]): Promise<void> {
    const { listeners, log } = this.#options
    try {
      await this.#report(await listeners.update(routes.filter(({ tcp }) => tcp !== undefined)))
    } catch (cause) {
      log.error('tcp ports not updated', { cause })
    }
  }

  async #report(ports: readonly FrontPort[]): Promise<void> {
    const { master, front, clock, log } = this.#options
    const said = JSON.stringify(ports)
    const isOld = ports.length > 0 && clock.now() - this.#reportedAt >= REPORTED_EVERY_MS
    if (said === this.#reported && !isOld) return
    try {
      await master.call('reportTcp', { params: { front }, body: { ports: [...ports] } })
      this.#reported = said
      this.#reportedAt = clock.now()
    } catch (error) {
      log.debug('tcp ports not reported', { code: asShadowError(error).code, cause: error }) // the next list tries again
    }
  }
}
