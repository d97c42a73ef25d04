import { readChanges } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { POLL_WITHOUT_STREAM_EVERY } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Apps } from './apps.ts'

type Options = {
  master: MasterClient
  apps: Apps
  clock: Clock
  log: Log
  /** Apps whose change must be found even while there is no stream: those that run. */
  watched: () => readonly AppName[]
  onRemoved: (app: AppName) => void
}

/** Follows the master's changes until the signal aborts; while there is no stream, asks about the apps that run. */
export async function followChanges(
  { master, apps, clock, log, watched, onRemoved }: Options,
  signal: AbortSignal,
): Promise<void> {
  let told = false
  while (!signal.aborted) {
    try {
      await readChanges(
        {
          master,
          clock,
          onOpen: () => {
            apps.connected()
            log.debug('change stream there')
            // What changed before is found by asking; an app that sleeps is asked about when it is wanted.
            for (const app of watched()) void apps.refresh(app)
          },
          onChange: ({ app, revision }) => {
            if (revision === null) onRemoved(app)
            else void apps.refresh(app)
          },
        },
        signal,
      )
    } catch (cause) {
      if (!told && !signal.aborted) log.warn('change stream lost', { code: asShadowError(cause).code, cause })
      told = true
    }
    const wasThere = apps.disconnected()
    if (wasThere) told = false
    await pause(clock, POLL_WITHOUT_STREAM_EVERY, signal).catch(() => undefined) // the loop's head ends it
    if (!signal.aborted) await Promise.all(watched().map(app => apps.refresh(app)))
  }
}
