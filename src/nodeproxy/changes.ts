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

// Ten thousand apps that sleep are asked about in a quarter of an hour, and the master hardly feels it.
const KEPT_ASKED_EVERY_MS = 100

/** Follows the master's changes until the signal aborts; while there is no stream, asks about the apps that run. */
export async function followChanges(
  { master, apps, clock, log, watched, onRemoved }: Options,
  signal: AbortSignal,
): Promise<void> {
  let told = false
  while (!signal.aborted) {
    const ended = new AbortController()
    try {
      await readChanges(
        {
          master,
          clock,
          onOpen: () => {
            apps.connected()
            log.debug('change stream there')
            // What changed before is found by asking: what runs at once, the rest at leisure.
            for (const app of watched()) void apps.refresh(app)
            void askAboutKept(apps, clock, AbortSignal.any([signal, ended.signal]))
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
    ended.abort()
    const wasThere = apps.disconnected()
    if (wasThere) told = false
    await pause(clock, POLL_WITHOUT_STREAM_EVERY, signal).catch(() => undefined) // the loop's head ends it
    if (!signal.aborted) await Promise.all(watched().map(app => apps.refresh(app)))
  }
}

/** An app that was removed while nobody told us would stay on the disk for ever, if nobody ever wants it again. */
async function askAboutKept(apps: Apps, clock: Clock, signal: AbortSignal): Promise<void> {
  for (const app of apps.unchecked) {
    await pause(clock, KEPT_ASKED_EVERY_MS, signal).catch(() => undefined) // the next line ends it
    if (signal.aborted) return
    await apps.resolve(app).catch(() => undefined) // it was removed, and that was told on
  }
}
