import { ShadowError } from '../lib/errors.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import type { Caller } from './known-callers.ts'
import type { Records } from './records.ts'
import type { Volumes } from './volumes.ts'

type Named = Pick<App, 'name' | 'createdAt'>
export type Permits = ReturnType<typeof placementPermits>

/**
 * Which apps a node may read: those whose volume it has leased and, while no node has the lease, those that somebody has placed on the
 * node.
 * Fronts and masters place apps. So each route has a permit, signed with the masters' key.
 * A front shows the permit to the node with a request, and the node shows it to the master. A node's token alone reads nothing and leases
 * no volume.
 */
export function placementPermits({ seals, records, volumes }: { seals: Seals; records: Records; volumes: Volumes }) {
  // An app that was removed and registered again under its name is another app.
  const textOf = ({ name, createdAt }: Named): string => `permit ${name} ${createdAt}`
  const isGood = (permit: string | undefined, app: Named): boolean =>
    permit !== undefined && seals.verify(textOf(app), permit)

  const mustBePlaced = async (app: App, caller: Caller | undefined, permit: string | undefined): Promise<void> => {
    if (caller?.role !== 'node') return
    const { name } = caller
    const { volume } = app.task
    const lease = volume === undefined ? null : await volumes.leaseOf(volume.id)
    if (lease?.node === name) return
    if (!isGood(permit, app)) throw notPlaced(app.name, name)
    if (volume !== undefined && lease !== null) throw volumes.elsewhere(volume.id, lease)
  }

  return {
    /** The permit of the app, shown wherever the app is placed. All versions of the app have the same permit. */
    issue: (app: Named): string => seals.sign(textOf(app)),
    /** Changes with the key that signs permits. */
    get version(): string {
      return seals.id
    },
    /** Fails with `forbidden`, or with `volume-elsewhere` if another node has the volume. */
    mustBePlaced,
    /** Does the same for the app that has the volume. */
    async mustBePlacedWith(volume: VolumeId, caller: Caller | undefined, permit: string | undefined): Promise<void> {
      if (caller?.role !== 'node') return
      const { app } = await volumes.get(volume)
      const record = app === null ? undefined : await records.read(app)
      if (record?.state !== 'live') throw notPlaced(`of the volume ${volume}`, caller.name)
      await mustBePlaced(record.app, caller, permit)
    },
  }
}

const notPlaced = (app: AppName | string, node: string): ShadowError =>
  new ShadowError(
    'forbidden',
    `the app ${app} is not placed on the node ${node}: it has no lease of the app's volume, and showed no permit of a front`,
    {
      hint: 'open the app by a front, or shadow wake it',
    },
  )
