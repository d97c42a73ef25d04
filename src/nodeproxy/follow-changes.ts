import { followStream } from '../api/change-stream.ts'
import type { MasterClient } from '../api/client.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
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
const ASKED_AT_ONCE = 8

/** Follows the changes until the signal aborts; as long as no master says that it has sent all changes, asks about the apps that run. */
export async function followChanges(
  { master, apps, clock, log, watched, onRemoved }: Options,
  signal: AbortSignal,
): Promise<void> {
  let hasLogged = false
  let ended = new AbortController()
  let polling = false
  const poll = async (): Promise<void> => {
    if (polling) return
    polling = true
    const [first, ...others] = watched()
    // Where the master does not answer for one, it does not for the others.
    if (first !== undefined && (await apps.refresh(first)))
      await mapAtMost(ASKED_AT_ONCE, others, app => apps.refresh(app))
    polling = false
  }
  await followStream(
    {
      master,
      clock,
      freshness: apps.freshness,
      onOpen: () => {
        ended = new AbortController()
        hasLogged = false
        log.debug('change stream there')
        // What changed before is found by asking: what runs at once, the rest at leisure.
        for (const app of watched()) void apps.refresh(app)
        void askAboutKept(apps, clock, AbortSignal.any([signal, ended.signal]))
      },
      onChange: ({ app, revision }) => {
        // The message may be late, and the app that is known by now another one of this name: then the master is asked.
        if (revision === null && apps.known(app) === undefined) onRemoved(app)
        else void apps.refresh(app)
      },
      onDoubt: () => void poll(),
      onEnd: cause => {
        ended.abort()
        if (!hasLogged) log.warn('change stream lost', { code: cause && asShadowError(cause).code, cause })
        hasLogged = true
      },
    },
    signal,
  )
}

/** Asks about all apps that are kept, so that the definition of an app that was removed meanwhile does not stay on the disk for ever. */
async function askAboutKept(apps: Apps, clock: Clock, signal: AbortSignal): Promise<void> {
  for (const app of apps.unchecked) {
    await pause(clock, KEPT_ASKED_EVERY_MS, signal).catch(() => undefined) // the next line ends it
    if (signal.aborted) return
    await apps.resolve(app).catch(() => undefined) // it was removed, and `onRemoved` was called
  }
}
