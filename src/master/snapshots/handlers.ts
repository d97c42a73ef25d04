import type { volumeCalls } from '../../api/volume-calls.ts'
import type { App } from '../../model/app.ts'
import { appName, type VolumeId } from '../../model/names.ts'
import { APP_KEEPS, MOST_APP_KEEPS } from '../../model/snapshot.ts'
import type { Handlers } from '../call.ts'
import type { Caller } from '../known-callers.ts'
import type { Permits } from '../permits.ts'
import type { Forks } from './forks.ts'
import type { VolumeGrowth } from './growth.ts'
import type { VolumeSnapshots } from './snapshots.ts'

type SnapshotHandlers = Pick<Handlers, keyof typeof volumeCalls>

const nameOf = (caller: Caller | undefined): string => caller?.name ?? 'nobody'

type Parts = {
  readonly snapshots: VolumeSnapshots
  readonly forks: Forks
  readonly grow: VolumeGrowth
  /** Fails with `not-found` where no volume has this name. */
  readonly mustBeThere: (volume: VolumeId) => Promise<unknown>
  /** Fails with `forbidden` if the caller is a node on which the app of the volume is not. */
  readonly mustBePlacedWith: Permits['mustBePlacedWith']
  /** The app as it is answered: with the values of its environment, or digests of them. */
  readonly shown: (app: App, env: 'values' | 'digests') => App
}

/** The handlers of the calls about snapshots. */
export function snapshotHandlers({
  snapshots,
  forks,
  grow,
  mustBeThere,
  mustBePlacedWith,
  shown,
}: Parts): SnapshotHandlers {
  return {
    async takeSnapshot({ params, body }, { caller, permit, signal }) {
      await mustBePlacedWith(params.volume, caller, permit)
      const by = nameOf(caller)
      // An app that was broken into must not have the snapshots removed that people have taken.
      const asked =
        caller?.role === 'node'
          ? { ...body, by, reason: 'app' as const, keep: Math.min(body.keep ?? APP_KEEPS, MOST_APP_KEEPS) }
          : { ...body, by }
      return { value: await snapshots.take(params.volume, asked, signal) }
    },
    async listSnapshots({ params: { volume } }) {
      const items = [...(await snapshots.list(volume))]
      if (items.length === 0) await mustBeThere(volume)
      return { value: { items } }
    },
    removeSnapshot: async ({ params, query }) => ({
      value: await snapshots.remove(params.volume, params.snapshot, query),
    }),
    forkVolume: async ({ params, body }, { caller, signal }) => ({
      value: await forks.volume(params.volume, { ...body, name: appName(body.name), by: nameOf(caller) }, signal),
    }),
    forkApp: async ({ params, body, query: { env } }, { caller, signal }) => {
      const { app, etag } = await forks.app(params.app, { ...body, by: nameOf(caller) }, signal)
      return { value: shown(app, env), etag }
    },
    growVolume: async ({ params, body: { size } }, { signal }) => ({ value: await grow(params.volume, size, signal) }),
    restoreVolume: async ({ params, body: { snapshot, dryRun } }, { caller, signal }) => ({
      value: await snapshots.restore(params.volume, snapshot, { by: nameOf(caller), dryRun }, signal),
    }),
  }
}
