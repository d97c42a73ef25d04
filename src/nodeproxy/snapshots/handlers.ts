import type { CallAnswer, HandlerInput } from '../../api/call-shape.ts'
import type { nodeVolumeCalls } from '../../api/node-volume-calls.ts'
import type { VolumeArrivals } from '../volume-arrivals.ts'
import type { VolumeRef } from '../volumes/block-drivers.ts'
import type { AppVolume } from './moments.ts'
import type { VolumeRestores } from './volume-restores.ts'
import type { VolumeSnapshots } from './volume-snapshots.ts'

type Calls = typeof nodeVolumeCalls
type Called = { readonly signal: AbortSignal; readonly permit: string | undefined }
// biome-ignore lint/suspicious/noConfusingVoidType: a call without an answer resolves with nothing
type Answer<C> = C extends { answer: 'nothing' } ? void : CallAnswer<C>
export type SnapshotHandlers = {
  readonly [N in keyof Calls]: (input: HandlerInput<Calls[N]>, call: Called) => Promise<Answer<Calls[N]>>
}

type Parts = {
  readonly snapshots: VolumeSnapshots
  readonly restores: VolumeRestores
  readonly arrivals: Pick<VolumeArrivals, 'fork'>
  /** Reads the definition of the app anew, and tells how large its volume is when that is applied. */
  readonly growth: (volume: AppVolume) => Promise<Answer<Calls['growVolume']>>
  /** Ends what is under way when the node stops. */
  readonly ending: AbortSignal
}

/** The handlers of the node's calls about snapshots. */
export function snapshotHandlers({ snapshots, restores, arrivals, growth, ending }: Parts): SnapshotHandlers {
  const until = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, ending])
  return {
    takeSnapshot: ({ params, query: { app } }, { permit, signal }) =>
      snapshots.take({ app, volume: params.volume, id: params.snapshot, permit }, until(signal)),
    finishSnapshot: ({ params, query }, { signal }) =>
      snapshots.finish(refOf({ ...params, ...query }), params.snapshot, until(signal)),
    listSnapshots: async ({ params, query }) => ({ items: [...(await snapshots.of(refOf({ ...params, ...query })))] }),
    removeSnapshot: ({ params, query }) => snapshots.remove(refOf({ ...params, ...query }), params.snapshot),
    forkVolume: ({ params, body }, { signal }) => arrivals.fork({ ...params, ...body }, until(signal)),
    growVolume: ({ params, body: { app } }, { permit }) => growth({ app, volume: params.volume, permit }),
    restoreVolume: ({ params, body }, { permit, signal }) =>
      restores.restore({ ...params, ...body, permit }, until(signal)),
  }
}

const refOf = ({ volume, driver }: { volume: VolumeRef['id']; driver?: VolumeRef['driver'] }): VolumeRef => ({
  id: volume,
  driver,
})
