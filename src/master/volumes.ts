import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App, Volume } from '../model/app.ts'
import { hasExpired, type Lease, leaseOfOther, releaseLease, renewLease, takeLease } from '../model/lease.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { type Size, toBytes } from '../model/quantities.ts'
import type { VolumePlace } from '../model/route.ts'
import { driverOf, type VolumeDriver } from '../model/task.ts'
import { volumeLost, volumeNotHere } from '../model/volume-lost.ts'
import type { Records } from './records.ts'
import type { Storage } from './storage/storage.ts'
import { type Stored, volumeDocuments, volumeKey } from './volume-documents.ts'
import { volumeMoves } from './volume-moves.ts'

/** The terms of a lease: its length in milliseconds, the epoch of the lease to renew, and the driver that the node has for the volume. */
type Terms = {
  readonly forMs?: number | undefined
  readonly epoch?: number | undefined
  readonly driver?: VolumeDriver | undefined
  /** Where the driver of the node makes volumes: the volume's zone from its first lease on. */
  readonly zone?: string | undefined
  /** The id of the disk that has the bytes, where the lease does not expire. */
  readonly disk?: string | undefined
}
/** What a definition asks of a volume, or had before. */
type Asked = { readonly size: Size; readonly driver?: VolumeDriver | undefined }

const PAGE = 500
/** A master that dies while it deletes data keeps the app from waking for no longer than this. */
const ERASING_COUNTS_FOR_MS = 60_000

export type Volumes = ReturnType<typeof volumeRecords>

/** The records of volumes, in `volumes/<id>.json`. The app's own document decides which app has a volume. */
export function volumeRecords({ storage, records, clock }: { storage: Storage; records: Records; clock: Clock }) {
  const { read, change } = volumeDocuments(storage)

  /** Whether a node may have written to the volume: its bytes stay where its driver has put them. */
  const hasData = ({ volume, epoch, places }: Stored): boolean =>
    volume !== null && (volume.lease !== null || (places === undefined ? epoch > 0 : places.length > 0))

  /** The error for a node that cannot have the volume; where the lease expires, it says in how many milliseconds. */
  const elsewhere = (id: VolumeId, { node, until }: Lease): ShadowError => {
    const leaseEndsMs = until === null ? undefined : Math.max(0, Date.parse(until) - clock.wall())
    return new ShadowError('volume-elsewhere', `the node ${node} has the volume ${id}`, {
      facts: { node, ...(leaseEndsMs !== undefined && { leaseEndsMs }) },
    })
  }

  /** Updates the record to what the app's document says. */
  const adopt = async (app: App): Promise<void> => {
    const { volume: asked } = app.task
    if (asked === undefined) return
    await change(asked.id, now => {
      const { volume } = now
      if (volume === null) {
        const createdAt = timestamp(clock)
        const driver = asked.driver && { driver: asked.driver }
        // An import that is under way is called off.
        return {
          ...now,
          moving: undefined,
          volume: { id: asked.id, app: app.name, size: asked.size, ...driver, lease: null, createdAt },
        }
      }
      const size = larger(volume.size, asked.size)
      const driver = hasData(now) ? volume.driver : asked.driver
      if (volume.app === app.name && volume.size === size && volume.driver === driver) return undefined
      return { ...now, volume: { ...volume, app: app.name, size, driver } }
    })
  }

  const liveAppOf = async (id: VolumeId): Promise<App | undefined> => {
    const record = await records.read(id as string as AppName)
    return record.state === 'live' && record.app.task.volume?.id === id ? record.app : undefined
  }

  /** The record. If a master died before it had written the record, it is repaired first. */
  const get = async (id: VolumeId): Promise<Volume> => {
    const app = await liveAppOf(id)
    if (app !== undefined) await adopt(app)
    const { volume } = await read(id)
    if (volume === null) throw new ShadowError('not-found', `no volume is called ${id}`)
    return volume
  }

  /** Where the volume is, with one read. A lease that does not expire is of a volume whose bytes are on that node. */
  const placeOf = async (id: VolumeId): Promise<VolumePlace> => {
    const { volume } = await read(id)
    if (volume?.lost !== undefined) return { node: volume.lost.node, isLocal: true, isLost: true }
    const lease = volume?.lease
    const zone = volume?.zone
    if (lease == null || hasExpired(lease, clock.wall())) return { node: null, isLocal: false, zone }
    return { node: lease.node, isLocal: lease.until === null, zone }
  }

  const list = async (after: VolumeId | undefined, limit: number) => {
    const keys = await storage.list('volumes/', { after: after && volumeKey(after), limit })
    const ids = keys.map(key => key.slice('volumes/'.length, -'.json'.length) as VolumeId)
    const found = await mapAtMost(16, ids, read)
    return {
      items: found.flatMap(({ volume }) => volume ?? []),
      next: ids.length === limit ? (ids.at(-1) ?? null) : null,
    }
  }

  /** Reads the record of every volume, so it is for what happens rarely: a node joins, is drained or removed. */
  const found = async (isWanted: (volume: Volume) => boolean): Promise<readonly Volume[]> => {
    const wanted: Volume[] = []
    let after: VolumeId | null | undefined
    do {
      const page = await list(after ?? undefined, PAGE)
      wanted.push(...page.items.filter(isWanted))
      after = page.next
    } while (after !== null)
    return wanted
  }

  return {
    adopt,
    get,
    list,

    /** The volumes that the node has leased. */
    on: (node: NodeName): Promise<readonly Volume[]> => found(({ lease }) => lease?.node === node),

    elsewhere,
    placeOf,
    ...volumeMoves({ read, change, clock }),

    /** The lease of the volume, with one read; null if no node has one, or the last one has expired. */
    leaseOf: async (id: VolumeId): Promise<Lease | null> => {
      const lease = (await read(id)).volume?.lease
      return lease == null || hasExpired(lease, clock.wall()) ? null : lease
    },

    /**
     * Fails with `bad-input` if the volume is larger than the size asked for, or has data and another driver. Its size is the one in its
     * record or the one that its app `had`.
     */
    async mustFit(id: VolumeId, asked: Asked, had: Asked | undefined): Promise<void> {
      const stored = await read(id)
      const { volume } = stored
      if (volume !== null && hasData(stored) && driverOf(volume) !== driverOf(asked)) throw staysAsItIs(volume, asked)
      const recorded = volume?.size
      const now = recorded !== undefined && had !== undefined ? larger(recorded, had.size) : (recorded ?? had?.size)
      if (now === undefined || toBytes(asked.size) >= toBytes(now)) return
      const message = `the volume ${id} has ${now} and cannot shrink to ${asked.size}`
      throw new ShadowError('bad-input', `volume.size: ${message}`, {
        faults: [{ field: 'volume.size', message }],
        hint: `ask for ${now} or more; to begin anew, without its data: shadow update ${id} --no-volume, shadow volume rm ${id}, shadow update ${id} --volume ${asked.size}`,
      })
    },

    /** Records that the app no longer has the volume; the data stays. */
    disown: (id: VolumeId, app: AppName): Promise<void> =>
      change(id, now => (now.volume?.app === app ? { ...now, volume: { ...now.volume, app: null } } : undefined)),

    /** Fails with `volume-in-use` while an app has the volume. */
    async mustBeFree(id: VolumeId): Promise<void> {
      if ((await liveAppOf(id)) !== undefined)
        throw new ShadowError('volume-in-use', `the app ${id} has the volume ${id}`, {
          hint: `shadow remove ${id} --with-volume`,
        })
    },

    /** No node gets a new lease from now on, for a time that is enough to delete the data; `of`: see `Erasing`. */
    beginErasure: (id: VolumeId, of: string): Promise<void> =>
      change(id, now => {
        if (now.volume === null) return undefined
        return { ...now, erasing: { of, until: new Date(clock.wall() + ERASING_COUNTS_FOR_MS).toISOString() } }
      }),

    endErasure: (id: VolumeId, of: string): Promise<void> =>
      change(id, now => (now.erasing?.of === of ? { ...now, erasing: undefined } : undefined)),

    /** Removes the record of a volume whose data was deleted by the erasure that was begun. If that counts no more, the record stays. */
    forget: (id: VolumeId, of: string): Promise<void> =>
      change(id, ({ epoch, erasing }) => (erasing?.of === of ? { volume: null, epoch, places: [] } : undefined)),

    /** The nodes that may have data of the volume; undefined if an older record does not say. */
    async placesOf(id: VolumeId): Promise<readonly NodeName[] | undefined> {
      const { volume, epoch, places } = await read(id)
      if (places !== undefined) return places
      if (volume?.lease != null) return [volume.lease.node]
      return epoch === 0 ? [] : undefined
    },

    /**
     * Gives the lease to the node, for `forMs` or until it is given up. A lease that the node has already is success. With `epoch`, it
     * renews that lease only.
     * Fails with `volume-elsewhere` if another node holds the lease, or if another epoch has begun; with `changed` if the node has another
     * driver for the volume, by a definition that was replaced; with `volume-not-here` if the bytes are on another disk than the node's.
     */
    async lease(
      id: VolumeId,
      node: NodeName,
      { forMs, epoch: renewed, driver, zone, disk: own }: Terms = {},
    ): Promise<Volume> {
      await get(id)
      await change(id, ({ volume, epoch, places = [], disk, moving, erasing }) => {
        if (volume === null) throw new ShadowError('not-found', `no volume is called ${id}`)
        if (driverOf(volume) !== driverOf({ driver })) throw otherDriver(volume, driverOf({ driver }))
        if (volume.lost !== undefined) throw volumeLost(id, volume.lost.node)
        const { lease } = volume
        const now = { lease, epoch }
        const until = forMs === undefined ? null : new Date(clock.wall() + forMs).toISOString()
        if (renewed !== undefined) {
          const next = renewLease(now, node, renewed, until)
          if (next === undefined) throw renewedTooLate(id, lease?.node)
          return { volume: { ...volume, lease: next.lease }, epoch, places, moving, erasing }
        }
        if (erasing !== undefined && Date.parse(erasing.until) > clock.wall()) throw beingErased(id)
        if (volume.zone !== undefined && zone !== undefined && volume.zone !== zone)
          throw inOtherZone(volume, node, zone)
        const inZone = (volume.zone ?? zone) === undefined ? {} : { zone: volume.zone ?? zone }
        const wall = clock.wall()
        const other = leaseOfOther(now, node, wall)
        if (other !== undefined) throw elsewhere(id, other)
        const next = takeLease(now, node, until, wall)
        if (next === now) {
          if (disk !== undefined && own !== undefined && disk !== own) throw volumeNotHere(id, node)
          // The old node is about to write again: what was copied is no longer all.
          const isKnown = moving === undefined && (disk !== undefined || own === undefined)
          return isKnown ? undefined : { volume, epoch, places, disk: disk ?? own }
        }
        if (next === undefined) return undefined
        return {
          volume: { ...volume, ...inZone, lease: next.lease },
          epoch: next.epoch,
          places: [...new Set([...places, node])],
          disk: own,
        }
      })
      return get(id)
    },

    /** Records that the node whose disk has the volume is gone for good. A volume that has another lease by now is left as it is. */
    markLost: (id: VolumeId, { node, epoch }: Lease): Promise<void> =>
      change(id, now => {
        const { volume } = now
        if (volume?.lease?.node !== node || volume.lease.epoch !== epoch) return undefined
        return { ...now, volume: { ...volume, lease: null, lost: { node, at: timestamp(clock) } } }
      }),

    /**
     * Ends the lease of a node whose machine has ended for good: nothing on it can write any more. Another machine may have joined under the name since,
     * and write: its lease, which is a later one, stays.
     */
    endLease: (id: VolumeId, { node, epoch }: Lease): Promise<void> =>
      change(id, now => {
        const { volume } = now
        return volume?.lease?.node === node && volume.lease.epoch === epoch
          ? { ...now, volume: { ...volume, lease: null } }
          : undefined
      }),

    /** A node that was lost is back: gives it the leases that it had, since the bytes are on its disk. */
    async giveBack(node: NodeName): Promise<void> {
      for (const { id } of await found(({ lost }) => lost?.node === node))
        await change(id, now => {
          const { volume, epoch } = now
          if (volume?.lost?.node !== node) return undefined
          return { ...now, volume: { ...volume, lost: undefined, lease: { node, epoch, until: null } } }
        })
    },

    /** Ends the lease of this node with this epoch; a lease that has ended already is success. */
    release: (id: VolumeId, node: NodeName, epoch: number): Promise<void> =>
      change(id, now => {
        const { volume } = now
        if (volume === null) return undefined
        const before = { lease: volume.lease, epoch: now.epoch }
        const { lease } = releaseLease(before, node, epoch)
        if (lease === before.lease) return undefined
        const places = [...new Set([...(now.places ?? []), node])]
        return { ...now, volume: { ...volume, lease }, places }
      }),
  }
}

const renewedTooLate = (volume: VolumeId, node: NodeName | undefined): ShadowError =>
  node === undefined
    ? new ShadowError('volume-elsewhere', `the lease of the volume ${volume} was given up`)
    : new ShadowError('volume-elsewhere', `the lease of the volume ${volume} has passed on to ${node}`, {
        facts: { node },
      })

const beingErased = (volume: VolumeId): ShadowError =>
  new ShadowError('volume-in-use', `the data of the volume ${volume} is being deleted`, { retryAfterMs: 1_000 })

const inOtherZone = ({ id, zone }: Volume, node: NodeName, nodes: string): ShadowError =>
  new ShadowError('no-node', `the volume ${id} is in zone ${zone}, and ${node} in zone ${nodes}`, {
    hint: `run a node in zone ${zone}, with the label zone=${zone}`,
  })

const larger = (one: Size, other: Size): Size => (toBytes(other) > toBytes(one) ? other : one)

function staysAsItIs(volume: Volume, asked: Asked): ShadowError {
  const { id } = volume
  const message = `the volume ${id} has data, which the driver ${driverOf(volume)} keeps; it cannot become one of ${driverOf(asked)}`
  return new ShadowError('bad-input', `volume.driver: ${message}`, {
    faults: [{ field: 'volume.driver', message }],
    hint: `keep ${driverOf(volume)}; or delete the data first: shadow update ${id} --no-volume, then shadow volume rm ${id}`,
  })
}

const otherDriver = (volume: Volume, driver: VolumeDriver): ShadowError =>
  new ShadowError('changed', `the volume ${volume.id} is one of the driver ${driverOf(volume)}, not of ${driver}`, {
    hint: 'its definition was changed a moment ago: try again',
    retryAfterMs: 1_000,
  })
