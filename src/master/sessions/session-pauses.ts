import { type Clock, timestamp } from '../../lib/clock.ts'
import type { AppName } from '../../model/names.ts'
import { toMs } from '../../model/quantities.ts'
import type { Apps } from '../apps.ts'
import type { Relay } from '../relay.ts'

type Parts = {
  readonly apps: Pick<Apps, 'find' | 'changeSession' | 'setPause'>
  readonly relay: Pick<Relay, 'sleep' | 'wake'>
  readonly clock: Clock
}
export type SessionPauses = ReturnType<typeof sessionPauses>

/**
 * Pauses of sandboxes: the instance stops, the volume stays, and the time-out does not run. The pause is written before the time-out is taken away,
 * so that a master that dies in between leaves a session that the next one pauses, and none that lives for ever.
 */
export function sessionPauses({ apps, relay, clock }: Parts) {
  const pause = async (name: AppName, by: string, signal: AbortSignal): Promise<void> => {
    const { app } = await apps.setPause(name, { by, why: 'the sandbox is paused' }, undefined)
    await relay.sleep(app, signal)
    await apps.changeSession(name, ({ until: _, ...now }) => now)
  }
  return {
    pause,

    /** Pauses a sandbox whose time is over; does nothing if it got more meanwhile. */
    async pauseInTime(name: AppName, signal: AbortSignal): Promise<void> {
      const { until } = (await apps.find(name)).app.session ?? {}
      if (until !== undefined && until <= timestamp(clock)) await pause(name, 'its time-out', signal)
    },

    /** Ends the pause, and wakes the session. Its time-out has to be set before. */
    async resume(name: AppName, signal: AbortSignal): Promise<void> {
      const { app } = await apps.setPause(name, undefined, undefined)
      await relay.wake(
        app,
        AbortSignal.any([signal, AbortSignal.timeout(toMs(app.task.startWithin) + WAKES_WITHIN_MS)]),
      )
    },
  }
}

const WAKES_WITHIN_MS = 60_000
