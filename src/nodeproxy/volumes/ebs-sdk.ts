import type { Volume as SdkVolume } from '@aws-sdk/client-ec2'
import { type Disk, type EbsApi, EbsError, type EbsFailure, type Growth, type InstanceState, isEbs } from './ebs-api.ts'

type Options = {
  readonly region: string
  /** Another endpoint than that of the region, for tests. */
  readonly endpoint?: string | undefined
}

// The client makes its own attempts, ever later, when it is throttled or gets no answer. Nothing else retries.
const ATTEMPTS = 6
const CONNECTS_WITHIN_MS = 3_000
const ANSWERS_WITHIN_MS = 15_000
const VOLUME_TYPE = 'gp3'

/** EC2 by its SDK. The SDK takes credentials from where it always does: environment, files, the role of the instance. */
export async function ebsSdk({ region, endpoint }: Options): Promise<EbsApi> {
  // 96 MB of modules, which only a node with this driver loads.
  const sdk = await import('@aws-sdk/client-ec2')
  const client = new sdk.EC2Client({
    region,
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECTS_WITHIN_MS, requestTimeout: ANSWERS_WITHIN_MS },
    ...(endpoint !== undefined && { endpoint }),
  })
  /** Sends a command; every failure becomes an EbsError. */
  const send: typeof client.send = async (command: Parameters<typeof client.send>[0]) => {
    try {
      return await client.send(command)
    } catch (error) {
      throw asEbsError(error)
    }
  }
  /** An answer of a list; what is not there is an empty list. */
  const unlessMissing = async <T>(answer: Promise<T>): Promise<T | undefined> => {
    try {
      return await answer
    } catch (error) {
      if (isEbs(error, 'not-found')) return undefined
      throw error
    }
  }

  return {
    async create({ token, zone, sizeGiB, tags }) {
      const made = await send(
        new sdk.CreateVolumeCommand({
          ClientToken: token,
          AvailabilityZone: zone,
          Size: sizeGiB,
          VolumeType: VOLUME_TYPE,
          TagSpecifications: [{ ResourceType: 'volume', Tags: sdkTags(tags) }],
        }),
      )
      return diskOf(made)
    },

    async disks({ id, attachedTo, tags = {} }) {
      const found: Disk[] = []
      const filters = Object.entries(tags).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }))
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

    async instanceState(instance) {
      const answer = await unlessMissing(send(new sdk.DescribeInstancesCommand({ InstanceIds: [instance] })))
      return answer?.Reservations?.[0]?.Instances?.[0]?.State?.Name as InstanceState | undefined
    },
  }
}

const sdkTags = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([key, value]) => ({ Key: key, Value: value }))

function diskOf({ VolumeId, AvailabilityZone, Size, State, Tags, Attachments }: SdkVolume): Disk {
  const attachment = Attachments?.find(({ State }) => State !== 'detached')
  return {
    id: VolumeId ?? '',
    zone: AvailabilityZone ?? '',
    sizeGiB: Size ?? 0,
    state: State ?? 'error',
    tags: Object.fromEntries((Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
    ...(attachment && {
      attachment: {
        instance: attachment.InstanceId ?? '',
        deviceName: attachment.Device ?? '',
        state: attachment.State === 'detached' ? 'detaching' : (attachment.State ?? 'attaching'),
      },
    }),
  }
}

/** EC2's codes, from its reference of errors: https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html */
const FAILURES: Readonly<Record<string, EbsFailure>> = {
  'InvalidVolume.NotFound': 'not-found',
  'InvalidInstanceID.NotFound': 'not-found',
  // For a disk that has never grown.
  'InvalidVolumeModification.NotFound': 'not-found',
  'InvalidAttachment.NotFound': 'wrong-state',
  VolumeInUse: 'wrong-state',
  IncorrectState: 'wrong-state',
  IncorrectInstanceState: 'wrong-state',
  IncorrectModificationState: 'wrong-state',
  'InvalidVolume.ZoneMismatch': 'other-zone',
  'InvalidDevice.InUse': 'device-name-taken',
  AttachmentLimitExceeded: 'no-slot',
  InsufficientVolumeCapacity: 'no-capacity',
  VolumeLimitExceeded: 'no-capacity',
  MaxIOPSLimitExceeded: 'no-capacity',
  VolumeModificationSizeLimitExceeded: 'no-capacity',
  VolumeModificationRateExceeded: 'grown-lately',
  IdempotentParameterMismatch: 'token-used',
  RequestLimitExceeded: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  UnauthorizedOperation: 'denied',
  AuthFailure: 'denied',
  InvalidClientTokenId: 'denied',
  CredentialsProviderError: 'denied',
  OptInRequired: 'denied',
  InternalError: 'no-answer',
  InternalFailure: 'no-answer',
  ServiceUnavailable: 'no-answer',
  Unavailable: 'no-answer',
}

/**
 * Any error of the SDK in our own words. What is not known, such as a broken connection, counts as no answer: the call may have been carried
 * out. @internal
 */
export function asEbsError(error: unknown): EbsError {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  const text = `${name}: ${message}`
  const known = FAILURES[name]
  if (known !== undefined) return new EbsError(known, text, error)
  if (/zones? (are|is) different|not in the same availability zone/i.test(message))
    return new EbsError('other-zone', text, error)
  if (name === 'InvalidParameterValue' && /already in use/i.test(message))
    return new EbsError('device-name-taken', text, error)
  // An error of the client's kind is a refusal: the call was not carried out.
  const isRefused = typeof error === 'object' && error !== null && '$fault' in error && error.$fault === 'client'
  return new EbsError(isRefused ? 'refused' : 'no-answer', text, error)
}
