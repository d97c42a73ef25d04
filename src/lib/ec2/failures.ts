/** Why EC2 refused a call. */
export type Ec2Failure =
  | 'not-found'
  /** The state of the machine or disk does not allow the call: it is attached, not attached, or still changing. */
  | 'wrong-state'
  | 'other-zone'
  /** The instance has as many disks attached as it can have. */
  | 'no-slot'
  | 'device-name-taken'
  /** The zone, or the quota of the account, has no room for it. */
  | 'no-capacity'
  /** A disk grows only once in some hours. */
  | 'grown-lately'
  /** The token was used before, with other arguments. */
  | 'token-used'
  /** The token was used before, for an instance that is terminated. */
  | 'token-ended'
  | 'throttled'
  /** The caller of the client called it off before this attempt was sent; an earlier one may have been carried out. */
  | 'called-off'
  | 'denied'
  /** Refused for another reason, which the message has. */
  | 'refused'
  /** No answer came. The call may have been carried out. */
  | 'no-answer'

/** An error of EC2 in our own words; `throttled` and `no-answer` come after the client's own retries. */
export class Ec2Error extends Error {
  override name = 'Ec2Error'
  readonly failure: Ec2Failure

  constructor(failure: Ec2Failure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.failure = failure
  }
}

/** Whether the error is an Ec2Error with one of these failures, or with any where none is given. */
export const isEc2 = (error: unknown, ...failures: Ec2Failure[]): error is Ec2Error =>
  error instanceof Ec2Error && (failures.length === 0 || failures.includes(error.failure))

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated'

/** EC2's codes, from its reference of errors: https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html */
const FAILURES: ReadonlyMap<string, Ec2Failure> = new Map([
  ['InvalidVolume.NotFound', 'not-found'],
  ['InvalidInstanceID.NotFound', 'not-found'],
  ['InvalidSnapshot.NotFound', 'not-found'],
  // For a disk that has never grown.
  ['InvalidVolumeModification.NotFound', 'not-found'],
  ['InvalidAttachment.NotFound', 'wrong-state'],
  ['VolumeInUse', 'wrong-state'],
  // An image of a machine is made from it.
  ['InvalidSnapshot.InUse', 'wrong-state'],
  ['IncorrectState', 'wrong-state'],
  ['IncorrectInstanceState', 'wrong-state'],
  ['IncorrectModificationState', 'wrong-state'],
  ['InvalidVolume.ZoneMismatch', 'other-zone'],
  ['InvalidDevice.InUse', 'device-name-taken'],
  ['AttachmentLimitExceeded', 'no-slot'],
  ['InsufficientVolumeCapacity', 'no-capacity'],
  ['InsufficientInstanceCapacity', 'no-capacity'],
  ['InsufficientHostCapacity', 'no-capacity'],
  ['InsufficientReservedInstanceCapacity', 'no-capacity'],
  ['InsufficientFreeAddressesInSubnet', 'no-capacity'],
  ['InstanceLimitExceeded', 'no-capacity'],
  ['VcpuLimitExceeded', 'no-capacity'],
  ['MaxSpotInstanceCountExceeded', 'no-capacity'],
  ['SpotMaxPriceTooLow', 'no-capacity'],
  // The type is not sold in this zone.
  ['Unsupported', 'no-capacity'],
  ['VolumeLimitExceeded', 'no-capacity'],
  ['SnapshotLimitExceeded', 'no-capacity'],
  ['MaxIOPSLimitExceeded', 'no-capacity'],
  ['VolumeModificationSizeLimitExceeded', 'no-capacity'],
  ['VolumeModificationRateExceeded', 'grown-lately'],
  ['IdempotentParameterMismatch', 'token-used'],
  ['IdempotentInstanceTerminated', 'token-ended'],
  ['RequestLimitExceeded', 'throttled'],
  ['Throttling', 'throttled'],
  ['ThrottlingException', 'throttled'],
  // At most so many snapshots of one disk in some seconds, or under way at once.
  ['SnapshotCreationPerVolumeRateExceeded', 'throttled'],
  ['ConcurrentSnapshotLimitExceeded', 'throttled'],
  ['PendingSnapshotLimitExceeded', 'throttled'],
  ['UnauthorizedOperation', 'denied'],
  ['AuthFailure', 'denied'],
  ['InvalidClientTokenId', 'denied'],
  ['CredentialsProviderError', 'denied'],
  ['OptInRequired', 'denied'],
  ['InternalError', 'no-answer'],
  ['InternalFailure', 'no-answer'],
  ['ServiceUnavailable', 'no-answer'],
  ['Unavailable', 'no-answer'],
] as const)

/** Any error of the SDK in our own words. What is not known, such as a broken connection, counts as no answer: the call may have been carried out. */
export function asEc2Error(error: unknown): Ec2Error {
  if (error instanceof Ec2Error) return error
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  const text = `${name}: ${message}`
  const known = FAILURES.get(name)
  if (known !== undefined) return new Ec2Error(known, text, error)
  if (/zones? (are|is) different|not in the same availability zone/i.test(message))
    return new Ec2Error('other-zone', text, error)
  if (name === 'InvalidParameterValue' && /already in use/i.test(message))
    return new Ec2Error('device-name-taken', text, error)
  // An error of the client's kind is a refusal: the call was not carried out.
  const isRefused = typeof error === 'object' && error !== null && '$fault' in error && error.$fault === 'client'
  return new Ec2Error(isRefused ? 'refused' : 'no-answer', text, error)
}
