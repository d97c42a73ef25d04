import type { Clock } from '../../lib/clock.ts'
import { isEc2 } from '../../lib/ec2/failures.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Device } from './block-driver.ts'
import type { Disk, EbsApi } from './ebs-api.ts'
import type { EbsDisks } from './ebs-disks.ts'
import { otherZone } from './ebs-failures.ts'
import type { Ec2Machine } from './ec2-machine.ts'
import type { DiskDevices } from './nvme.ts'

type Parts = {
  readonly api: EbsApi
  readonly disks: EbsDisks
  readonly machine: Ec2Machine
  readonly devices: DiskDevices
  readonly clock: Clock
  readonly log: Log
}

const ATTACHED_WITHIN_MS = 90_000
const DETACHED_WITHIN_MS = 60_000
/** After so long without a change in the list, an order that was given counts as never given. */
const SEEN_WITHIN_MS = 15_000

// AWS reserves /dev/xvdb[a-z] and /dev/xvdc[a-z] for disks that are attached later.
const DEVICE_NAMES = ['b', 'c'].flatMap(first =>
  [...'abcdefghijklmnopqrstuvwxyz'].map(last => `/dev/xvd${first}${last}`),
)

/** Attaches disks to this machine and detaches them. Callers take turns for a volume. */
export function ebsAttachments({ api, disks, machine, devices, clock, log }: Parts) {
  /** Names that an attachment under way has, or that have kept a disk from attaching. */
  const busyNames = new Set<string>()
  const badNames = new Set<string>()

  /** Attaches the disk and waits for its device. Fails with `volume-in-use` while another machine has it. */
  async function attach(volume: VolumeId, disk: Disk): Promise<Device> {
    if (disk.zone !== machine.zone) throw otherZone(volume, disk, machine)
    let name: string | undefined
    let orderedAt = Number.NEGATIVE_INFINITY
    const look = async (): Promise<Device | undefined> => {
      const attachment = (await disks.now(disk))?.attachment
      if (attachment?.instance === machine.instance)
        return attachment.state === 'attached' ? devices.find(disk.id) : undefined
      if (attachment !== undefined) {
        await letGo(volume, disk, attachment)
        return undefined
      }
      if (clock.now() - orderedAt < SEEN_WITHIN_MS) return undefined
      if (name !== undefined) busyNames.delete(name)
      name = await freeName()
      busyNames.add(name)
      if (await order(disk, name)) orderedAt = clock.now()
      return undefined
    }
    const late = notAttached(volume, disk)
    try {
      return await disks.until(ATTACHED_WITHIN_MS, look, () => late)
    } catch (error) {
      if (name !== undefined && error === late) {
        // What hinders it is often the name, which the machine has in use though EC2 does not know.
        badNames.add(name)
        await api
          .detach(disk.id, machine.instance, { force: false })
          .catch(cause => log.warn('disk that never attached not detached', { volume, disk: disk.id, cause }))
      }
      throw error
    } finally {
      if (name !== undefined) busyNames.delete(name)
    }
  }

  /** Whether the order was given, or may have been. */
  async function order(disk: Disk, name: string): Promise<boolean> {
    try {
      await api.attach(disk.id, machine.instance, name)
    } catch (error) {
      if (isEc2(error, 'device-name-taken')) {
        badNames.add(name)
        return false
      }
      // Attached already, by an order whose answer was lost, or by another machine: the next look tells.
      if (!isEc2(error, 'wrong-state', 'no-answer')) throw error
    }
    return true
  }

  async function freeName(): Promise<string> {
    const taken = (await api.disks({ attachedTo: machine.instance })).map(({ attachment }) => attachment?.deviceName)
    const isFree = (name: string): boolean => !taken.includes(name) && !busyNames.has(name)
    const name = DEVICE_NAMES.find(one => isFree(one) && !badNames.has(one))
    if (name !== undefined) return name
    badNames.clear() // better a name that failed once than none
    const second = DEVICE_NAMES.find(isFree)
    if (second !== undefined) return second
    throw new ShadowError('no-volume-slot', `all ${DEVICE_NAMES.length} device names of ${machine.instance} are in use`)
  }

  /** Waits while another machine lets go of the disk, and takes it from a machine that is terminated; fails where a machine keeps it. */
  async function letGo(volume: VolumeId, disk: Disk, { instance, state }: NonNullable<Disk['attachment']>) {
    if (state === 'detaching') return
    const now = await api.instanceState(instance)
    if (now !== 'terminated')
      throw new ShadowError('volume-in-use', `${instance}, which is ${now ?? 'unknown'}, has volume ${volume}`, {
        facts: { instance },
        hint: `if that machine is dead for good, terminate it: aws ec2 terminate-instances --instance-ids ${instance}`,
      })
    log.warn('disk taken from a terminated machine', { volume, disk: disk.id, instance })
    await orderDetach(disk, instance, true)
  }

  async function orderDetach(disk: Disk, instance: string, force: boolean): Promise<void> {
    await api.detach(disk.id, instance, { force }).catch(error => {
      // Detached already, perhaps by an order whose answer was lost: the next look tells.
      if (!isEc2(error, 'wrong-state', 'not-found', 'no-answer')) throw error
    })
  }

  /** Detaches the disk from this machine; fails with `volume-in-use` while it is mounted. */
  async function detach(volume: VolumeId, disk: Disk): Promise<void> {
    const { instance } = machine
    const isElsewhere = (now: Disk | undefined): boolean =>
      now?.attachment !== undefined && now.attachment.instance !== instance
    const device = await devices.find(disk.id)
    if (isElsewhere(disk) || (disk.attachment === undefined && device === undefined)) return
    if (device !== undefined) await devices.untilUnused(volume, device)
    let orderedAt = Number.NEGATIVE_INFINITY
    await disks.until(
      DETACHED_WITHIN_MS,
      async () => {
        const now = await disks.now(disk)
        const isHere = now?.attachment?.instance === instance
        if (!isHere && (isElsewhere(now) || (await devices.find(disk.id)) === undefined)) return true
        if (now?.attachment?.state !== 'detaching' && clock.now() - orderedAt >= SEEN_WITHIN_MS) {
          await orderDetach(disk, instance, false)
          orderedAt = clock.now()
        }
        return undefined
      },
      () =>
        new ShadowError('volume-in-use', `${disk.id} of volume ${volume} does not detach from ${instance}`, {
          hint: `see who uses it: lsblk, fuser -v ${device ?? disk.id}`,
        }),
    )
  }

  return {
    attach,
    detach,

    /** Takes the disk off this machine, or off a terminated one; fails with `volume-in-use` while another machine has it. */
    async release(volume: VolumeId, disk: Disk): Promise<void> {
      await detach(volume, (await disks.now(disk)) ?? disk)
      await disks.until(
        DETACHED_WITHIN_MS,
        async () => {
          const attachment = (await disks.now(disk))?.attachment
          if (attachment === undefined) return true
          await letGo(volume, disk, attachment)
          return undefined
        },
        () => new ShadowError('volume-in-use', `${disk.id} of volume ${volume} does not detach`),
      )
    },
  }
}

const notAttached = (volume: VolumeId, disk: Disk): ShadowError =>
  new ShadowError(
    'cloud-failed',
    `${disk.id} of volume ${volume} does not attach: no device with its serial number came within ${ATTACHED_WITHIN_MS / 1000} s`,
    {
      hint: `try again: another device name is used then; see: aws ec2 describe-volumes --volume-ids ${disk.id}`,
      retryAfterMs: 10_000,
    },
  )
