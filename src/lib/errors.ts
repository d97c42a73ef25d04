/** Every failure of Shadow: its code, HTTP status, exit code and meaning. docs/errors.md contains this table. */
const FAILURES = {
  'bad-input': {
    status: 400,
    exit: 2,
    means: 'the request, definition, flag or setting is not well formed; `faults` names each field',
  },
  unauthorised: { status: 401, exit: 6, means: 'there is no token, or the master does not know it' },
  forbidden: { status: 403, exit: 6, means: 'the token is valid but its role may not do this' },
  'not-allowed': { status: 403, exit: 6, means: 'the access rules of the app do not admit this client' },
  'not-found': {
    status: 404,
    exit: 3,
    means: 'no such route, volume, node or token exists, or the app does not have what the call should remove',
  },
  'app-not-found': { status: 404, exit: 3, means: 'no app has this name' },
  'host-unknown': { status: 404, exit: 3, means: 'no app has this hostname' },
  'release-ended': {
    status: 410,
    exit: 3,
    means:
      'the address is that of one release of the app, which does not run any more; the facts name the one that serves',
  },
  'app-asleep': { status: 409, exit: 4, means: 'the app sleeps and the request said `X-Shadow-Wake: never`' },
  'already-exists': { status: 409, exit: 4, means: 'something with this name exists already' },
  'domain-taken': { status: 409, exit: 4, means: 'another app has this domain' },
  'app-in-use': {
    status: 409,
    exit: 4,
    means: 'the app is in use, and what was asked for is done only while nobody uses it',
  },
  'companion-in-use': {
    status: 409,
    exit: 4,
    means: 'other apps use the app: it sleeps after them, and is not removed before they are detached from it',
  },
  'port-taken': { status: 409, exit: 4, means: 'another app has this TCP port of the fronts' },
  'volume-in-use': { status: 409, exit: 4, means: 'the volume is attached, or belongs to another app' },
  'snapshots-full': {
    status: 409,
    exit: 4,
    means: 'the volume has as many snapshots as it may have; remove some, or let the oldest go (`--keep`)',
  },
  'freeze-too-long': {
    status: 409,
    exit: 4,
    means: 'a snapshot would keep the app from writing for too long; put the app to sleep first',
  },
  misdirected: {
    status: 421,
    exit: 2,
    means: 'the TLS connection was made for another hostname; use a new connection for this one',
  },
  'volume-elsewhere': { status: 421, exit: 4, means: 'another node holds the volume; `node` names it' },
  changed: { status: 412, exit: 4, means: 'another call has changed it since it was read' },
  'too-slow': { status: 408, exit: 1, means: 'the request arrived too slowly, or its end did not arrive' },
  'too-large': { status: 413, exit: 2, means: 'the body is larger than the limit' },
  'target-too-long': { status: 414, exit: 2, means: 'the request line is longer than the limit' },
  'too-many-connections': {
    status: 429,
    exit: 1,
    means: 'this address has too many open connections or HTTP/2 requests (`SHADOW_CONNECTIONS_PER_ADDRESS`)',
  },
  'too-many-sessions': {
    status: 429,
    exit: 5,
    means: 'the app or its node has as many open sessions (`shadow exec` and the like) as it may have',
  },
  'head-too-large': {
    status: 431,
    exit: 2,
    means: 'the head of the request is larger, or has more fields, than the limit',
  },
  'rate-limited': {
    status: 429,
    exit: 5,
    means: 'more requests came than the rate allows; `Retry-After` says when to try again',
  },
  'client-gone': { status: 499, exit: 1, means: 'the client disconnected before its answer' },
  'not-offered': {
    status: 501,
    exit: 2,
    means: 'the API that is compatible with E2B does not have this; the message names it',
  },
  internal: { status: 500, exit: 1, means: 'a fault of Shadow; the log has it under the id in the answer' },
  'app-crashed': {
    status: 502,
    exit: 5,
    means:
      'the app ended before it was ready, or during the request; `shadow why` has its exit code, `shadow logs` its last lines',
  },
  'app-unreachable': { status: 502, exit: 5, means: 'the app was ready but refused or closed the connection' },
  'app-bad-answer': {
    status: 502,
    exit: 5,
    means: 'the answer of the app may not be sent to a client; `shadow why` and the log name the header',
  },
  'companion-not-ready': {
    status: 503,
    exit: 5,
    means: 'an app that this app uses could not be woken; `shadow why` of that one tells more',
  },
  'node-unreachable': { status: 502, exit: 7, means: 'the node that has the app does not answer' },
  'app-waking': { status: 503, exit: 5, means: 'the app is being woken; a browser sees the waiting page' },
  'app-stuck': {
    status: 503,
    exit: 5,
    means: 'a step of going to sleep failed; `shadow status` shows what is still held',
  },
  'instance-full': {
    status: 503,
    exit: 5,
    means: 'the instance has as many requests in flight as it may have; the front sends the request to another one',
  },
  'queue-full': { status: 503, exit: 5, means: 'too many requests are waiting for this app or node' },
  'connections-full': {
    status: 503,
    exit: 7,
    means: 'as many connections are open as allowed (`SHADOW_CONNECTIONS`), and none of them is idle',
  },
  'budget-spent': {
    status: 503,
    exit: 5,
    means: 'the budget of the app or of its owner is spent for this month; `shadow why` tells which (`shadow budget`)',
  },
  'is-template': {
    status: 404,
    exit: 5,
    means: 'the app is a template: sessions are made from it, and nothing wakes it itself (`shadow session connect`)',
  },
  'session-not-found': { status: 404, exit: 3, means: 'no session has this name, or it has ended' },
  'tag-conflict': {
    status: 409,
    exit: 4,
    means: 'a session with this key lives, and was asked for with another tag',
  },
  'sessions-full': { status: 503, exit: 7, means: 'the template has as many sessions as it may have' },
  'token-missing': { status: 401, exit: 4, means: 'the session asks for a token, and the request has none' },
  'token-refused': {
    status: 403,
    exit: 4,
    means: 'the token is not one of the session, has expired, or was revoked',
  },
  'port-not-open': {
    status: 404,
    exit: 4,
    means: 'the hostname is that of a port of a session, whose template opens the main port alone (`--ports all`)',
  },
  'auth-unreachable': {
    status: 503,
    exit: 7,
    means: 'the URL that is asked about visitors of the session (`--auth-url` of its template) does not answer',
  },
  'connect-refused': {
    status: 403,
    exit: 4,
    means: 'the URL that is asked about visitors (`--auth-url` of the template) does not let the visitor connect',
  },
  'app-paused': {
    status: 503,
    exit: 5,
    means: 'somebody has paused the app; nothing wakes it until it is resumed (`shadow resume`)',
  },
  'no-node': { status: 503, exit: 7, means: 'no healthy node can take the app' },
  'master-unreachable': { status: 503, exit: 7, means: 'the master does not answer' },
  'storage-unreachable': { status: 503, exit: 7, means: 'the storage behind the master does not answer' },
  'storage-unfit': {
    status: 503,
    exit: 7,
    means: 'the store ignores conditional writes, so two masters would overwrite each other',
  },
  'secret-unreadable': {
    status: 503,
    exit: 7,
    means:
      'a stored secret was encrypted with a key that this master does not have (`SHADOW_SECRETS_KEY`), or was changed',
  },
  'cloud-failed': {
    status: 503,
    exit: 7,
    means: 'the cloud did not do what it was asked for, in time or at all; the answer says what and why',
  },
  'provider-unreachable': {
    status: 503,
    exit: 7,
    means: 'the provider by which people sign in to the dashboard (`SHADOW_OIDC_ISSUER`) does not answer',
  },
  'runtime-unreachable': {
    status: 503,
    exit: 7,
    means: 'Docker does not answer, or fails at what no app is to blame for',
  },
  'addresses-full': {
    status: 503,
    exit: 7,
    means:
      'the networks of the apps have no free address, or the first one, on which apps are that use others, has 1,000 containers already (895 when an app is to be parked), or there is no free subnet for another network',
  },
  'no-memory': {
    status: 503,
    exit: 7,
    means: 'the node does not have the memory that the app reserves, even with all idle apps asleep',
  },
  'not-parkable': {
    status: 409,
    exit: 4,
    means:
      'the app cannot be parked as it is defined, or on this machine, or not beside the other parked apps; the message says why',
  },
  'no-swap': { status: 409, exit: 4, means: 'the machine has no swap (zram or a swap file) for the memory of the app' },
  'no-volume-slot': {
    status: 503,
    exit: 7,
    means: 'apps in use have all volume slots of the node (`SHADOW_VOLUME_SLOTS`)',
  },
  'node-cordoned': {
    status: 503,
    exit: 7,
    means: 'the node takes no app that it does not have, or none at all (`shadow node cordon`, `shadow node drain`)',
  },
  'volumes-stay': {
    status: 409,
    exit: 4,
    means: 'volumes are on the disk of the node, so their apps cannot leave it; `faults` names them',
  },
  'name-taken': {
    status: 503,
    exit: 7,
    means: 'another machine is the node of this name, and announced itself in the last seconds',
  },
  'node-in-use': { status: 409, exit: 4, means: 'the node is there, or has apps or volumes, and cannot be removed' },
  'egress-open': {
    status: 503,
    exit: 7,
    means:
      'the node cannot keep apps from the host and the private networks, and must not run them without that (`SHADOW_EGRESS`)',
  },
  'egress-refused': {
    status: 403,
    exit: 3,
    means: 'to an app: its definition does not let it reach that host (`shadow why` of the app names it)',
  },
  'egress-failed': { status: 502, exit: 5, means: 'to an app: the host that it asked for does not answer its node' },
  'shutting-down': { status: 503, exit: 7, means: 'this daemon is stopping' },
  'image-not-found': { status: 424, exit: 5, means: 'the image is neither on the node nor in its registry' },
  'build-failed': {
    status: 424,
    exit: 9,
    means: 'a step of the build ended with an error, or took too long; nothing of the app was changed',
  },
  'command-not-found': { status: 424, exit: 5, means: 'the image does not have the command, or not its interpreter' },
  'definition-refused': {
    status: 424,
    exit: 8,
    means: 'Docker refuses the definition of the app; the answer has the reason',
  },
  'volume-broken': { status: 424, exit: 5, means: 'the filesystem of the volume cannot be repaired or mounted' },
  'volume-lost': {
    status: 424,
    exit: 5,
    means: 'the volume was on the disk of a node that was removed as lost (`shadow node rm --lost`)',
  },
  'volume-not-here': {
    status: 424,
    exit: 5,
    means:
      'the node of this name had the volume on another disk: that disk is not mounted, or another machine has the name now',
  },
  'backup-failed': {
    status: 502,
    exit: 5,
    means: 'restic could not make, read or prune the backups; the answer says why',
  },
  'backup-damaged': {
    status: 424,
    exit: 5,
    means: 'what was restored is not what was backed up, or has a damaged filesystem; nothing was changed',
  },
  'no-restic': {
    status: 503,
    exit: 7,
    means: 'the node has no restic that it can use (`SHADOW_RESTIC`), so it neither makes nor restores backups',
  },
  'app-not-ready': {
    status: 504,
    exit: 5,
    means: 'the app did not answer on its port within its start deadline, or listens on another one',
  },
  'answer-late': {
    status: 504,
    exit: 5,
    means: 'the app had the whole request and did not begin its answer in time (`shadow access --answer-within`)',
  },
  'loop-detected': {
    status: 508,
    exit: 2,
    means: 'the request passed this front too often: something behind it sends requests back',
  },
  'disk-full': { status: 507, exit: 7, means: 'the disk is full' },
  'data-in-use': { status: 409, exit: 4, means: 'another process uses this data folder' },
} as const

export type FailureCode = keyof typeof FAILURES
export const failures: Readonly<Record<FailureCode, { status: number; exit: number; means: string }>> = FAILURES

/** One fault of one field of the input; `field` is a dotted path, such as `volume.size`. */
export type Fault = { field: string; message: string }

type Details = {
  hint?: string | undefined
  cause?: unknown
  faults?: readonly Fault[] | undefined
  /** After how many milliseconds another try makes sense; sent as `Retry-After`. */
  retryAfterMs?: number | undefined
  /** Facts that a program may act on, such as `node` of `volume-elsewhere`. */
  facts?: Readonly<Record<string, string | number>> | undefined
}

/** A problem document (RFC 9457) as it is sent. */
export type Problem = {
  type: string
  title: string
  status: number
  code: FailureCode
  detail: string
  hint?: string
  faults?: readonly Fault[]
  retryAfterMs?: number
  facts?: Readonly<Record<string, string | number>>
  id?: string
}

/**
 * Our one error class. The message says what happened, with the value; `hint` says how to fix it; `cause` is the error behind it, which is
 * never sent.
 */
export class ShadowError extends Error {
  override name = 'ShadowError'
  readonly code: FailureCode
  readonly details: Details

  constructor(code: FailureCode, message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.details = details
  }

  get status(): number {
    return FAILURES[this.code].status
  }

  get exitCode(): number {
    return FAILURES[this.code].exit
  }

  /** The problem document of this error; our log has the cause under `id`. */
  toProblem(id?: string): Problem {
    const { hint, faults, retryAfterMs, facts } = this.details
    return {
      type: `urn:shadow:${this.code}`,
      title: FAILURES[this.code].means,
      status: this.status,
      code: this.code,
      detail: this.message,
      ...(hint !== undefined && { hint }),
      ...(faults !== undefined && { faults }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(facts !== undefined && { facts }),
      ...(id !== undefined && { id }),
    }
  }
}

/** The error that a problem document describes, as it was on the other side; undefined if the value is no problem document. */
export function fromProblem(value: unknown): ShadowError | undefined {
  if (typeof value !== 'object' || value === null || !('code' in value) || !('detail' in value)) return undefined
  const problem = value as Problem
  if (!Object.hasOwn(FAILURES, problem.code)) return undefined
  const { hint, faults, retryAfterMs, facts } = problem
  return new ShadowError(problem.code, problem.detail, { hint, faults, retryAfterMs, facts })
}

/** Any thrown value as a ShadowError. A full disk becomes `disk-full`, another error `internal`, with that error as its cause. */
export function asShadowError(thrown: unknown): ShadowError {
  if (thrown instanceof ShadowError) return thrown
  if (isNoSpace(thrown)) {
    const { path } = thrown as NodeJS.ErrnoException
    return new ShadowError('disk-full', `no space left${path ? ` for ${path}` : ''}`, { cause: thrown })
  }
  return new ShadowError('internal', 'something went wrong on our side', { cause: thrown })
}

/** Whether the value is a ShadowError with one of these codes. */
export function isFailure(thrown: unknown, ...codes: FailureCode[]): thrown is ShadowError {
  return thrown instanceof ShadowError && codes.includes(thrown.code)
}

/** The system's code of an error, such as ENOENT; undefined if it has none. */
export function systemCode(thrown: unknown): string | undefined {
  if (thrown instanceof ShadowError) return undefined // its code is ours, not the system's
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
}

/** Whether a disk, or what its user may have of it, is full. The kernel says the same of a user with too many watches: inotify_add_watch(2). */
export function isNoSpace(thrown: unknown): boolean {
  const isFull = ['ENOSPC', 'EDQUOT'].includes(systemCode(thrown) ?? '')
  return isFull && (thrown as NodeJS.ErrnoException).syscall !== 'watch'
}
