import { z } from 'zod'
import type { MasterClient } from '../api/client.ts'
import { AppNameSchema } from '../api/schemas.ts'
import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError } from '../lib/errors.ts'
import { readEvents } from '../lib/http/events.ts'
import type { Log } from '../lib/log.ts'
import { POLL_WITHOUT_STREAM_EVERY, STREAM_LOST_AFTER } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Apps } from './apps.ts'

const ChangeSchema = z.object({ app: AppNameSchema, revision: z.int().nullable() })

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
export async function followChanges(options: Options, signal: AbortSignal): Promise<void> {
  const { apps, clock, log, watched } = options
  let told = false
  while (!signal.aborted) {
    try {
      await readStream(options, signal)
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

async function readStream(
  { master, apps, clock, log, watched, onRemoved }: Options,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController()
  const watch = (): Disposable =>
    clock.after(STREAM_LOST_AFTER, () => lost.abort(new Error('the stream of changes fell silent')))
  let alarm = watch()
  const beat = (): void => {
    alarm[Symbol.dispose]()
    alarm = watch()
  }
  try {
    const { body } = await master.raw('changes', { signal: AbortSignal.any([signal, lost.signal]) })
    apps.connected()
    log.debug('change stream there')
    // What changed before the stream was there is found by asking; an app that sleeps is asked about when it is wanted. Meanwhile
    // the stream is read: one that is cut before anybody reads it would never be seen to end.
    for (const app of watched()) void apps.refresh(app)
    for await (const event of readEvents(body, beat)) {
      const change = ChangeSchema.safeParse(event)
      if (!change.success) continue // a newer master may tell of more than we know
      if (change.data.revision === null) onRemoved(change.data.app)
      else void apps.refresh(change.data.app)
    }
  } finally {
    alarm[Symbol.dispose]()
  }
}
