import { constants } from 'node:os'
import type { Log } from '../lib/log.ts'

/** A daemon that runs. */
export type Running = {
  /** Takes no more requests, lets those in flight finish and ends; `sleep` puts the apps of this machine to sleep before. */
  stop(options: { sleep: boolean }): Promise<void>
}

/**
 * Runs a daemon until a signal ends it. SIGTERM comes from a supervisor that may start it again: apps go on running.
 * SIGINT comes from a person who wants it to be over: apps are put to sleep. A second signal ends the process at once.
 */
export async function runDaemon(log: Log, start: () => Promise<Running>): Promise<void> {
  const first = Promise.withResolvers<NodeJS.Signals>()
  let came = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (came) process.exit(128 + constants.signals[signal])
    came = true
    first.resolve(signal)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  const running = await start()
  const signal = await first.promise
  log.info('stopping', { signal })
  await running.stop({ sleep: signal === 'SIGINT' })
  log.info('stopped')
  process.exit(0)
}
