import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { NodeName, VolumeId } from '../model/names.ts'
import type { Size } from '../model/quantities.ts'
import type { VolumeDriver } from '../model/task.ts'
import type { Moving, VolumeDocuments } from './volume-documents.ts'

type Imported = {
  readonly id: string
  readonly to: NodeName
  readonly size: Size
  readonly driver: VolumeDriver
  /** Of the node, where the driver has zones. */
  readonly zone?: string | undefined
}

/** Moves of volumes to another node, and imports, which are moves from nowhere. */
export function volumeMoves({ read, change, clock }: VolumeDocuments & { readonly clock: Clock }) {
  const underWay = async (id: VolumeId, to: NodeName, move: string): Promise<Moving> => {
    const { moving } = await read(id)
    if (moving?.id !== move || moving.to !== to) throw calledOff(id)
    return moving
  }

  return {
    /**
     * Begins a move to a node, which may have a copy of the data from now on. Fails with `changed` if `from` does not have the volume any more.
     */
    beginMove: (id: VolumeId, moving: Moving): Promise<void> =>
      change(id, now => {
        const { lease } = now.volume ?? {}
        if (lease?.node !== moving.from || lease.until !== null) throw calledOff(id)
        return { ...now, places: [...new Set([...(now.places ?? [moving.from]), moving.to])], moving }
      }),

    /** Begins an import, which makes the volume on a node. Fails with `already-exists` if there is a volume of this name. */
    beginImport: (id: VolumeId, { size, driver, zone, ...moving }: Imported): Promise<void> =>
      change(id, now => {
        if (now.volume !== null) throw isThere(id)
        const makes = { size, ...(driver !== 'loop' && { driver }), ...(zone !== undefined && { zone }) }
        const places = [...new Set([...(now.places ?? []), moving.to])]
        return { ...now, places, moving: { ...moving, from: null, makes } }
      }),

    /** Calls a move off; one that has ended already is left as it is. */
    endMove: (id: VolumeId, move: string): Promise<void> =>
      change(id, now => (now.moving?.id === move ? { ...now, moving: undefined } : undefined)),

    /** The move that was begun last, if it has not ended. */
    movingOf: async (id: VolumeId): Promise<Moving | undefined> => (await read(id)).moving,

    /** Fails with `changed` if this move or import to the node is not under way. */
    async mustBeMoving(id: VolumeId, to: NodeName, move: string): Promise<void> {
      await underWay(id, to, move)
    },

    /** From where the volume moves to this node; fails with `changed` if this move is not under way. */
    async movedFrom(id: VolumeId, to: NodeName, move: string): Promise<NodeName> {
      const { from } = await underWay(id, to, move)
      if (from === null) throw calledOff(id)
      return from
    },

    /** Passes the lease on to the new node, or makes the volume that was imported; fails with `changed` if the move was called off. */
    finishMove: (id: VolumeId, to: NodeName, move: string): Promise<void> =>
      change(id, now => {
        const { volume, moving, epoch } = now
        if (volume?.lease?.node === to && moving === undefined) return undefined
        if (moving?.id !== move || moving.to !== to) throw calledOff(id)
        const lease = { node: to, epoch: epoch + 1, until: null }
        // The disk of the new node is recorded when it first asks for its lease.
        if (volume === null && moving.from === null && moving.makes !== undefined) {
          const { driver } = moving.makes
          const made = { id, app: null, ...moving.makes, createdAt: timestamp(clock) }
          // The bytes of a pool are on no node.
          return {
            ...now,
            volume: { ...made, lease: driver === undefined ? lease : null },
            epoch: epoch + 1,
            disk: undefined,
            moving: undefined,
          }
        }
        if (volume?.lease == null || volume.lease.node !== moving.from) throw calledOff(id)
        return { ...now, volume: { ...volume, lease }, epoch: epoch + 1, disk: undefined, moving: undefined }
      }),
  }
}

const isThere = (id: VolumeId): ShadowError =>
  new ShadowError('already-exists', `a volume is called ${id} already`, {
    hint: `give another name (--as NAME), or delete its data: shadow volume rm ${id}`,
  })

const calledOff = (id: VolumeId): ShadowError =>
  new ShadowError('changed', `the move of the volume ${id} was called off: it is whole where it was`, {
    hint: 'move it again',
  })
