import type { MasterClient } from '../../api/client.ts'
import { permitHeaders } from '../../api/paths.ts'
import { type Clock, wallAt } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { Buckets, bucketsMemory } from '../../lib/shared/buckets.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Instance } from '../instance.ts'
import type { AppSocketCalls } from './handler.ts'

type Parts = {
  readonly instanceOf: (id: InstanceId) => Instance | undefined
  readonly master: Pick<MasterClient, 'call'>
  /** The permit of the app that has the volume. */
  readonly permitOf: (volume: VolumeId) => string | undefined
  readonly clock: Clock
}

const RATE = { perSecond: 10, burst: 50 }
// A snapshot may be a copy of all bytes. An app must not keep the disk busy for others.
const SNAPSHOT_RATE = { perSecond: 1 / 60, burst: 3 }
const MOST_KNOWN = 4_096

/** What the app of each instance may ask for. */
export function appSocketCalls({ instanceOf, master, permitOf, clock }: Parts): (id: InstanceId) => AppSocketCalls {
  const buckets = new Buckets(bucketsMemory(MOST_KNOWN))
  const snapshotBuckets = new Buckets(bucketsMemory(MOST_KNOWN))
  return id => {
    const instance = (): Instance => {
      const found = instanceOf(id)
      if (found === undefined) throw new ShadowError('app-not-found', `${id} was removed`)
      return found
    }
    return {
      view: () => instance().view(),
      idleSince: () => {
        const since = instance().idleSince
        return since === undefined ? undefined : wallAt(clock, since)
      },
      busy: (name, forMs, why) => instance().busy.take(name, forMs, why),
      leases: () => instance().busy.all,
      endBusy: name => instance().busy.end(name),
      sleepSoon: () => instance().sleepSoon(),
      async snapshot(asked) {
        const { volume } = instance()
        if (volume === undefined) throw new ShadowError('bad-input', `${id} has no volume`)
        const waitMs = snapshotBuckets.take(id, SNAPSHOT_RATE, clock.now())
        if (waitMs > 0)
          throw new ShadowError('rate-limited', 'too many snapshots: three at once, then one a minute', {
            retryAfterMs: Math.ceil(waitMs),
          })
        const { signal } = new AbortController() // a copy takes its time, and goes on if the app does not wait for it
        return master.call('takeSnapshot', {
          params: { volume },
          body: asked,
          headers: permitHeaders(permitOf(volume)),
          signal,
        })
      },
      take: () => buckets.take(id, RATE, clock.now()),
    }
  }
}
