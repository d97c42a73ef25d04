import { setTimeout as sleep } from 'node:timers/promises'
import type { Running } from './running-container.ts'
import type { Runtime } from './runtime/runtime.ts'

const GONE_CHECKED_EVERY_MS = 3

/** Resolves when none of the processes of the run is left, which the runtime reports later; with false if it could not be stopped. */
export async function untilGone(
  { container }: Running,
  runtime: Pick<Runtime, 'areGone'>,
  stopped: Promise<void>,
): Promise<boolean> {
  const settled = stopped.then(
    () => true,
    () => false, // the unwinding reports it
  )
  for (;;) {
    if (await runtime.areGone(container)) return true
    const isStopped = await Promise.race([settled, sleep(GONE_CHECKED_EVERY_MS)])
    if (isStopped !== undefined) return isStopped
  }
}
