import type { Snapshot as SdkSnapshot, Volume as SdkVolume } from '@aws-sdk/client-ec2'
import { openEc2, sdkTags, tagFilters, tagsOf, unlessMissing } from '../../lib/ec2/client.ts'
import type { InstanceState } from '../../lib/ec2/failures.ts'
import type { Disk, DiskSnapshot, EbsApi, Growth } from './ebs-api.ts'

type Options = {
  readonly region: string
  /** Another endpoint than that of the region, for tests. */
  readonly endpoint?: string | undefined
}

const VOLUME_TYPE = 'gp3'

/** The disks of EC2, by its SDK. */
export async function ebsSdk(options: Options): Promise<EbsApi> {
  const { sdk, send } = await openEc2(options)
  // A second attempt at a call without a token may do what the first one did already.
  const { send: sendOnce } = await openEc2({ ...options, attempts: 1 })
  return {
    async create({ token, zone, sizeGiB, snapshot, tags }) {
      const made = await send(
        new sdk.CreateVolumeCommand({
          ClientToken: token,
          AvailabilityZone: zone,
          Size: sizeGiB,
          VolumeType: VOLUME_TYPE,
          ...(snapshot !== undefined && { SnapshotId: snapshot }),
          TagSpecifications: [{ ResourceType: 'volume', Tags: sdkTags(tags) }],
        }),
      )
      return diskOf(made)
    },

    async disks({ id, attachedTo, tags = {} }) {
      const found: Disk[] = []
      const filters = tagFilters(tags)
      if (attachedTo !== undefined) filters.push({ Name: 'attachment.instance-id', Values: [attachedTo] })
      let next: string | undefined
      do {
        const page = await unlessMissing(
          send(
            new sdk.DescribeVolumesCommand({
              ...(id !== undefined && { VolumeIds: [id] }),
              ...(filters.length > 0 && { Filters: filters }),
              ...(next !== undefined && { NextToken: next }),
            }),
          ),
        )
        found.push(...(page?.Volumes ?? []).map(diskOf))
        next = page?.NextToken
      } while (next !== undefined)
      return found
    },

    async attach(disk, instance, deviceName) {
      await send(new sdk.AttachVolumeCommand({ VolumeId: disk, InstanceId: instance, Device: deviceName }))
    },

    async detach(disk, instance, { force }) {
      await send(new sdk.DetachVolumeCommand({ VolumeId: disk, InstanceId: instance, Force: force }))
    },

    async grow(disk, toGiB) {
      await send(new sdk.ModifyVolumeCommand({ VolumeId: disk, Size: toGiB }))
    },

    async growth(disk) {
      const answer = await unlessMissing(send(new sdk.DescribeVolumesModificationsCommand({ VolumeIds: [disk] })))
      const last = answer?.VolumesModifications?.toSorted((a, b) => Number(b.StartTime) - Number(a.StartTime))[0]
      if (last?.ModificationState === undefined) return undefined
      return { state: last.ModificationState as Growth['state'], toGiB: last.TargetSize ?? 0 }
    },

    async tag(disk, tags) {
      await send(new sdk.CreateTagsCommand({ Resources: [disk], Tags: sdkTags(tags) }))
    },

    async delete(disk) {
      await send(new sdk.DeleteVolumeCommand({ VolumeId: disk }))
    },

    async snapshot(disk, tags) {
      const TagSpecifications = [{ ResourceType: 'snapshot' as const, Tags: sdkTags(tags) }]
      return snapshotOf(await sendOnce(new sdk.CreateSnapshotCommand({ VolumeId: disk, TagSpecifications })))
    },

    async snapshots(tags) {
      const found: DiskSnapshot[] = []
      let next: string | undefined
      do {
        const page = await send(
          new sdk.DescribeSnapshotsCommand({
            OwnerIds: ['self'],
            Filters: tagFilters(tags),
            ...(next !== undefined && { NextToken: next }),
          }),
        )
        found.push(...(page.Snapshots ?? []).map(snapshotOf))
        next = page.NextToken
      } while (next !== undefined)
      return found
    },

    async deleteSnapshot(snapshot) {
      await send(new sdk.DeleteSnapshotCommand({ SnapshotId: snapshot }))
    },

    async instanceState(instance) {
      const answer = await unlessMissing(send(new sdk.DescribeInstancesCommand({ InstanceIds: [instance] })))
      return answer?.Reservations?.[0]?.Instances?.[0]?.State?.Name as InstanceState | undefined
    },
  }
}

function diskOf({ VolumeId, AvailabilityZone, Size, State, Tags, Attachments }: SdkVolume): Disk {
  const attachment = Attachments?.find(({ State }) => State !== 'detached')
  return {
    id: VolumeId ?? '',
    zone: AvailabilityZone ?? '',
    sizeGiB: Size ?? 0,
    state: State ?? 'error',
    tags: tagsOf(Tags),
    ...(attachment && {
      attachment: {
        instance: attachment.InstanceId ?? '',
        deviceName: attachment.Device ?? '',
        state: attachment.State === 'detached' ? 'detaching' : (attachment.State ?? 'attaching'),
      },
    }),
  }
}

const snapshotOf = ({ SnapshotId, VolumeSize, State, StartTime, Tags }: SdkSnapshot): DiskSnapshot => ({
  id: SnapshotId ?? '',
  sizeGiB: VolumeSize ?? 0,
  state: State === 'completed' || State === 'error' ? State : 'pending',
  orderedAt: StartTime?.getTime() ?? 0,
  tags: tagsOf(Tags),
})
