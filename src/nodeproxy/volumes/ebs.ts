import { createHash } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { isEc2 } from '../../lib/ec2/failures.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { VolumeId } from '../../model/names.ts'
import type { BlockDriver, Creation, Device, Format } from './block-driver.ts'
import { cloudDriver } from './cloud-driver.ts'
import type { Disk, EbsApi } from './ebs-api.ts'
import { ebsAttachments } from './ebs-attachments.ts'
import { EbsDisks, READY_TAG } from './ebs-disks.ts'
import { asFailure, grownLately, notMade } from './ebs-failures.ts'
import { ebsSnapshots } from './ebs-snapshots.ts'
import type { Ec2Machine } from './ec2-machine.ts'
import { noSuchVolume } from './loop-image.ts'
import type { DiskDevices } from './nvme.ts'

type Options = {
  readonly api: EbsApi
  /** Disks that carry this name are ours. */
  readonly cluster: string
  readonly machine: Ec2Machine
  readonly devices: DiskDevices
  readonly clock: Clock
  readonly log: Log
}

const GIB = 2 ** 30
const VISIBLE_WITHIN_MS = 60_000
const GROWN_WITHIN_MS = 600_000
const DELETED_TOKENS = 3

/**
 * Volumes as disks of AWS EBS, attached to one instance at a time: EC2 refuses a second one. A disk is found by its tags. Each call asks
 * EC2 how things are and goes on from there, so it may be repeated after a lost answer or a crash. Retries are the API client's alone.
 */
export function ebs({ api, cluster, machine, devices, clock, log }: Options): BlockDriver {
  const disks = new EbsDisks({ api, cluster, clock })
  const snapshots = ebsSnapshots({ api, disks, cluster, clock, log })
  const attachments = ebsAttachments({ api, disks, machine, devices, clock, log })

  async function create(volume: VolumeId, sizeBytes: number, format: Format, { epoch = 0, from }: Creation) {
    const there = await disks.of(volume)
    if (there.some(disk => disks.isReady(disk))) return
    for (const left of there) await discard(volume, left)
    const source = from && (await snapshots.diskSnapshot(from))
    const disk = await make(volume, Math.max(gibOf(sizeBytes), source?.sizeGiB ?? 0), epoch, source?.id)
    try {
      if (source === undefined) await format(await attachments.attach(volume, disk))
    } catch (error) {
      await discard(volume, disk).catch(cause =>
        log.warn('half-made disk not deleted; the next wake does it', { volume, disk: disk.id, cause }),
      )
      throw error
    }
    // The lease keeps two nodes from this. Should it fail, then at least the older disk, which has data, stays the volume.
    if ((await disks.of(volume)).some(other => other.id !== disk.id && disks.isReady(other))) {
      await discard(volume, disk)
      throw new ShadowError('volume-in-use', `another node made volume ${volume} at the same time`, {
        retryAfterMs: 1_000,
      })
    }
    await api.tag(disk.id, READY_TAG)
    disks.remember('ready', volume, disk)
    log.info('disk made', { volume, disk: disk.id, zone: disk.zone, sizeGiB: disk.sizeGiB })
  }

  async function make(volume: VolumeId, sizeGiB: number, epoch: number, snapshot?: string): Promise<Disk> {
    const { zone } = machine
    for (let attempt = 0; attempt < DELETED_TOKENS; attempt++) {
      const token = createHash('sha256').update(`${cluster}/${volume}/${epoch}/${attempt}`).digest('hex')
      const wanted = { token, zone, sizeGiB, snapshot, tags: disks.tagsOf(volume, token) }
      const made = await api.create(wanted).catch(async error => {
        if (isEc2(error, 'token-used')) return undefined
        // The disk may have been made though the answer was lost: its token tells.
        if (!isEc2(error, 'no-answer')) throw error
        return disks.until(
          VISIBLE_WITHIN_MS,
          () => disks.madeWith(token),
          () => error,
        )
      })
      // Under this lease a disk was made and deleted again: its token is spent.
      if (made === undefined || disks.wasDeleted(made)) continue
      const visible = await disks
        .until(
          VISIBLE_WITHIN_MS,
          async () => {
            const now = await disks.now(made)
            return now?.state === 'creating' ? undefined : now
          },
          () => notMade(volume, made),
        )
        .catch(error => {
          if (attempt + 1 === DELETED_TOKENS) throw error
          return undefined
        })
      if (visible === undefined) continue
      if (visible.state === 'error') {
        await discard(volume, visible)
        throw notMade(volume, visible)
      }
      disks.remember('made', volume, visible)
      return visible
    }
    throw new ShadowError('cloud-failed', `no disk could be made for volume ${volume}`, { retryAfterMs: 60_000 })
  }

  /** Deletes a disk that never became the volume. Fails with `volume-in-use` while another machine has it. */
  async function discard(volume: VolumeId, disk: Disk): Promise<void> {
    await attachments.release(volume, disk)
    await deleteDisk(volume, disk)
  }

  async function deleteDisk(volume: VolumeId, disk: Disk): Promise<void> {
    try {
      await api.delete(disk.id)
    } catch (error) {
      const isGone = isEc2(error, 'not-found') || (isEc2(error, 'no-answer') && (await disks.now(disk)) === undefined)
      if (!isGone) throw error
    }
    disks.remember('deleted', volume, disk)
    log.info('disk deleted', { volume, disk: disk.id })
  }

  async function grow(volume: VolumeId, sizeBytes: number): Promise<void> {
    const found = await disks.readyOf(volume)
    if (found === undefined) throw noSuchVolume(volume)
    const wanted = gibOf(sizeBytes)
    if (found.sizeGiB > wanted)
      throw new ShadowError(
        'bad-input',
        `volume ${volume} has ${found.sizeGiB} GiB and cannot be made smaller, to ${wanted} GiB`,
      )
    if (found.sizeGiB < wanted) {
      const before = await settledGrowth(volume, found)
      if (before === undefined || before.toGiB < wanted) {
        await api.grow(found.id, wanted).catch(async error => {
          if (isEc2(error, 'grown-lately')) throw grownLately(volume, found, error)
          if (!isEc2(error, 'no-answer')) throw error
          if (((await api.growth(found.id))?.toGiB ?? 0) < wanted) throw error
        })
        // The list may tell of the growth before this one for a while.
        await disks.until(
          GROWN_WITHIN_MS,
          async () => {
            const now = await settledGrowth(volume, found)
            return now !== undefined && now.toGiB >= wanted ? true : undefined
          },
          () => new ShadowError('cloud-failed', `${found.id} of volume ${volume} does not grow to ${wanted} GiB`),
        )
        log.info('disk grown', { volume, disk: found.id, sizeGiB: wanted })
      }
    }
    const device = await devices.find(found.id)
    if (device === undefined) return
    await disks.until(
      VISIBLE_WITHIN_MS,
      async () => ((await devices.bytes(device)) >= wanted * GIB ? true : undefined),
      () => new ShadowError('cloud-failed', `${device} of volume ${volume} does not show its new size, ${wanted} GiB`),
    )
  }

  /** The last growth of the disk, once it is no longer under way. */
  async function settledGrowth(volume: VolumeId, disk: Disk) {
    const found = await disks.until(
      GROWN_WITHIN_MS,
      async () => {
        const growth = await api.growth(disk.id)
        return growth?.state === 'modifying' ? undefined : { growth }
      },
      () => new ShadowError('cloud-failed', `${disk.id} of volume ${volume} has been growing for too long`),
    )
    return found.growth?.state === 'failed' ? undefined : found.growth
  }

  async function attach(volume: VolumeId): Promise<Device> {
    const disk = await disks.readyOf(volume)
    if (disk === undefined) throw noSuchVolume(volume)
    return attachments.attach(volume, disk)
  }

  async function remove(volume: VolumeId): Promise<void> {
    const found = await disks.of(volume)
    const attached = found.find(({ attachment }) => attachment !== undefined)?.attachment
    if (attached !== undefined)
      throw new ShadowError('volume-in-use', `volume ${volume} is attached to ${attached.instance}`, {
        hint: 'put its app to sleep first',
      })
    for (const disk of found) await deleteDisk(volume, disk)
  }

  async function attached() {
    const found = await disks.attachedTo(machine.instance)
    return Promise.all(
      found.map(async ({ volume, disk }) => ({
        volume,
        // A disk that is being attached has no device yet, and must be detached all the same.
        device: (await devices.find(disk.id)) ?? (disk.id as Device),
      })),
    )
  }

  async function detach(volume: VolumeId): Promise<void> {
    for (const disk of await disks.of(volume)) await attachments.detach(volume, disk)
  }

  const deeds = { create, grow, attach, detach, remove, attached, snapshots }
  const driver = cloudDriver(machine.zone, deeds, (error, what) => asFailure(error, what, machine))
  return {
    ...driver,
    async growAttached(volume, sizeBytes, signal) {
      await driver.grow(volume, sizeBytes, signal)
      return driver.attach(volume, signal)
    },
  }
}

const gibOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / GIB))
