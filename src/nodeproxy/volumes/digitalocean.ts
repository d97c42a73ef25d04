import { createHash } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { poll } from '../../lib/poll.ts'
import { isAppName, type VolumeId, volumeId } from '../../model/names.ts'
import type { BlockDriver, Creation, Device, Format } from './block-driver.ts'
import { cloudDriver } from './cloud-driver.ts'
import { type DigitaloceanApi, type DoDisk, isDo } from './digitalocean-api.ts'
import { asFailure } from './digitalocean-failures.ts'
import { digitaloceanSnapshots } from './digitalocean-snapshots.ts'
import type { Droplet } from './droplet.ts'
import { noSuchVolume } from './loop-image.ts'
import type { DiskDevices } from './nvme.ts'

type Options = {
  readonly api: DigitaloceanApi
  /** Disks that carry this name are ours. */
  readonly cluster: string
  readonly machine: Droplet
  readonly devices: DiskDevices
  readonly clock: Clock
  readonly log: Log
}

const GIB = 2 ** 30
const CHANGED_WITHIN_MS = 90_000
/** After so long without an effect, an order that was given counts as never given. */
const SEEN_WITHIN_MS = 20_000
/** On a disk that has a filesystem. Before that the volume does not exist. */
const READY = 'shadow:ready'

/**
 * Volumes as disks of DigitalOcean, attached to one droplet at a time: the API refuses a second one. The name of a disk follows from cluster and
 * volume and is unique in its region, so no repeated creation makes a second disk. Each call looks how things are and goes on from there, so
 * it may be repeated after a lost answer or a crash.
 */
export function digitalocean({ api, cluster, machine, devices, clock, log }: Options): BlockDriver {
  const { droplet, region } = machine
  const ours = `shadow:cluster:${cluster}`
  const nameOf = (volume: VolumeId): string =>
    `shadow-${createHash('sha256').update(`${cluster}/${volume}`).digest('hex').slice(0, 20)}`

  /** The disk of the volume, ready or not. One of its name that is not ours is never touched. */
  async function diskOf(volume: VolumeId): Promise<DoDisk | undefined> {
    const disk = await api.named(nameOf(volume))
    if (disk !== undefined && !disk.tags.includes(ours)) throw notOurs(volume, disk, ours)
    return disk
  }

  async function readyOf(volume: VolumeId): Promise<DoDisk> {
    const disk = await diskOf(volume)
    if (disk === undefined || !isReady(disk)) throw noSuchVolume(volume)
    return disk
  }

  const snapshots = digitaloceanSnapshots({ api, ours, readyOf, clock, log })

  async function create(volume: VolumeId, sizeBytes: number, format: Format, { from }: Creation): Promise<void> {
    const there = await diskOf(volume)
    if (there !== undefined && isReady(there)) return
    if (there !== undefined) await discard(volume, there)
    const source = from && (await snapshots.diskSnapshot(from))
    const disk = await make(volume, Math.max(gibOf(sizeBytes), source?.leastGiB ?? 0), source?.id)
    try {
      if (source === undefined) await format(await attach(volume, disk))
    } catch (error) {
      await discard(volume, disk).catch(cause =>
        log.warn('half-made disk not deleted; the next wake does it', { volume, disk: disk.name, cause }),
      )
      throw error
    }
    await again(() => api.tag(disk.id, READY)) // to tag twice is to tag once
    log.info('disk made', { volume, disk: disk.name, region, sizeGiB: disk.sizeGiB })
  }

  function make(volume: VolumeId, sizeGiB: number, snapshot: string | undefined): Promise<DoDisk> {
    const asked = {
      name: nameOf(volume),
      sizeGiB,
      tags: [ours, `shadow:volume:${volume}`],
      snapshot,
      description: `volume ${volume} of the Shadow cluster ${cluster}`,
    }
    return until(
      async () => {
        const made = await api.create(asked).catch(error => {
          // Made by an order whose answer was lost, or not quite deleted yet: the next look tells.
          if (!isDo(error, 'conflict', 'no-answer')) throw error
          return undefined
        })
        return made ?? diskOf(volume)
      },
      () => new ShadowError('cloud-failed', `no disk could be made for volume ${volume}`, { retryAfterMs: 60_000 }),
    )
  }

  /** Attaches the disk and waits for its device. Fails with `volume-in-use` while another droplet has it. */
  async function attach(volume: VolumeId, { id, name }: DoDisk): Promise<Device> {
    let orderedAt = Number.NEGATIVE_INFINITY
    return until(
      async () => {
        const now = await diskOf(volume)
        if (now === undefined) throw noSuchVolume(volume)
        if (now.droplet === droplet) return devices.find(name)
        // The disks of a droplet that was destroyed come free by themselves.
        if (now.droplet !== undefined && (await api.hasDroplet(now.droplet))) throw isElsewhere(volume, now.droplet)
        if (now.droplet === undefined && clock.now() - orderedAt >= SEEN_WITHIN_MS) {
          await order(() => api.attach(id, droplet))
          orderedAt = clock.now()
        }
        return undefined
      },
      () =>
        new ShadowError('cloud-failed', `${name} of volume ${volume} does not attach: its device did not come`, {
          hint: `try again; see: doctl compute volume get ${id}, ls -l /dev/disk/by-id`,
          retryAfterMs: 10_000,
        }),
    )
  }

  /** Detaches the disk from this droplet; fails with `volume-in-use` while it is mounted. */
  async function detach(volume: VolumeId, { id, name }: DoDisk): Promise<void> {
    const device = await devices.find(name)
    if (device !== undefined) await devices.untilUnused(volume, device)
    let orderedAt = Number.NEGATIVE_INFINITY
    await until(
      async () => {
        const isHere = (await diskOf(volume))?.droplet === droplet
        if (!isHere && (await devices.find(name)) === undefined) return true
        if (isHere && clock.now() - orderedAt >= SEEN_WITHIN_MS) {
          await order(() => api.detach(id, droplet))
          orderedAt = clock.now()
        }
        return undefined
      },
      () =>
        new ShadowError('volume-in-use', `${name} of volume ${volume} does not detach from droplet ${droplet}`, {
          hint: `see who uses it: lsblk, fuser -v ${device ?? name}`,
        }),
    )
  }

  /** Deletes a disk that never became the volume. Fails with `volume-in-use` while another droplet has it. */
  async function discard(volume: VolumeId, disk: DoDisk): Promise<void> {
    const now = await diskOf(volume)
    if (now?.droplet !== undefined && now.droplet !== droplet) {
      if (await api.hasDroplet(now.droplet)) throw isElsewhere(volume, now.droplet)
    } else if (now !== undefined) await detach(volume, now)
    await deleteDisk(volume, disk)
  }

  async function deleteDisk(volume: VolumeId, disk: DoDisk): Promise<void> {
    await until(
      async () => {
        await order(() => api.delete(disk.id))
        return (await diskOf(volume))?.id === disk.id ? undefined : true
      },
      () => new ShadowError('cloud-failed', `${disk.name} of volume ${volume} cannot be deleted`),
    )
    log.info('disk deleted', { volume, disk: disk.name })
  }

  async function grow(volume: VolumeId, sizeBytes: number): Promise<void> {
    const disk = await readyOf(volume)
    const wanted = gibOf(sizeBytes)
    if (disk.sizeGiB > wanted)
      throw new ShadowError(
        'bad-input',
        `volume ${volume} has ${disk.sizeGiB} GiB and cannot be made smaller, to ${wanted} GiB`,
      )
    if (disk.sizeGiB === wanted) return
    // The kernel of the droplet learns the size when the disk is attached.
    await detach(volume, disk)
    let orderedAt = Number.NEGATIVE_INFINITY
    await until(
      async () => {
        if ((await readyOf(volume)).sizeGiB >= wanted) return true
        if (clock.now() - orderedAt >= SEEN_WITHIN_MS) {
          await order(() => api.grow(disk.id, wanted))
          orderedAt = clock.now()
        }
        return undefined
      },
      () => new ShadowError('cloud-failed', `${disk.name} of volume ${volume} does not grow to ${wanted} GiB`),
    )
    log.info('disk grown', { volume, disk: disk.name, sizeGiB: wanted })
  }

  async function remove(volume: VolumeId): Promise<void> {
    const disk = await diskOf(volume)
    if (disk === undefined) return
    if (disk.droplet !== undefined && (disk.droplet === droplet || (await api.hasDroplet(disk.droplet))))
      throw isElsewhere(volume, disk.droplet)
    await deleteDisk(volume, disk)
  }

  const until = <T>(look: () => Promise<T | undefined>, otherwise: () => Error): Promise<T> =>
    poll(clock, CHANGED_WITHIN_MS, look, otherwise)

  async function attached() {
    const here = (await api.all()).filter(disk => disk.droplet === droplet && disk.tags.includes(ours))
    const found = await Promise.all(
      here.map(async disk => {
        const volume = volumeIn(disk)
        // A disk that is being attached has no device yet, and must be detached all the same.
        return volume && { volume, device: (await devices.find(disk.name)) ?? (disk.name as Device) }
      }),
    )
    return found.filter(one => one !== undefined)
  }

  return cloudDriver(
    region,
    {
      create,
      grow,
      attach: async volume => attach(volume, await readyOf(volume)),
      async detach(volume) {
        const disk = await diskOf(volume)
        if (disk !== undefined && (disk.droplet === droplet || disk.droplet === undefined)) await detach(volume, disk)
      },
      remove,
      attached,
      snapshots,
    },
    (error, what) => asFailure(error, what, machine),
  )
}

/** Gives an order. Where it was carried out already, may have been, or cannot be yet, the next look tells. */
async function order(give: () => Promise<void>): Promise<void> {
  await give().catch(error => {
    if (!isDo(error, 'conflict', 'not-found', 'no-answer')) throw error
  })
}

/** The same once more, if no answer came. */
const again = (call: () => Promise<void>): Promise<void> =>
  call().catch(error => (isDo(error, 'no-answer') ? call() : Promise.reject(error)))

const isReady = ({ tags }: DoDisk): boolean => tags.includes(READY)

function volumeIn({ tags }: DoDisk): VolumeId | undefined {
  const volume = tags.find(tag => tag.startsWith('shadow:volume:'))?.slice('shadow:volume:'.length)
  return volume !== undefined && isAppName(volume) ? volumeId(volume) : undefined
}

const isElsewhere = (volume: VolumeId, droplet: number): ShadowError =>
  new ShadowError('volume-in-use', `droplet ${droplet} has volume ${volume}`, {
    facts: { droplet },
    hint: `put its app to sleep first; if that droplet is dead for good, destroy it: doctl compute droplet delete ${droplet}`,
  })

const notOurs = (volume: VolumeId, { name }: DoDisk, tag: string): ShadowError =>
  new ShadowError('volume-broken', `the disk ${name}, which is to be volume ${volume}, does not have the tag ${tag}`, {
    hint: 'give it the tag again if it is ours, or rename it',
  })

const gibOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / GIB))
