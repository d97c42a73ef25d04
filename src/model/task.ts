import type { Egress } from './egress.ts'
import type { AppName, VolumeId } from './names.ts'
import type { Duration, Size } from './quantities.ts'

/** How the node knows that the app is ready for its first request. */
export type Readiness =
  | { readonly kind: 'port' }
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'log'; readonly line: string }
  /** As the HEALTHCHECK of its image tells. */
  | { readonly kind: 'healthcheck' }

export const WEB_SOCKET_POLICIES = ['hold', 'ignore', 'wake'] as const
export type WebSocketPolicy = (typeof WEB_SOCKET_POLICIES)[number]

/** Which image a revision runs, whatever its tag names later. */
export type PinnedImage = {
  /** Docker's id of the image: `sha256:<hex>`. */
  readonly id: string
  /** The digest of its manifest in its registry, for a machine that does not have it; undefined for one that was built here. */
  readonly digest?: string | undefined
}

/** One immutable revision of how to run an app. A change of it makes the next revision, never another text of this one. */
export type TaskDefinition = {
  readonly app: AppName
  readonly revision: number
  readonly image: string
  /** Undefined until a node was asked about the image, or has run it. */
  readonly pinned?: PinnedImage | undefined
  /** Replaces the image's command; its entrypoint stays. */
  readonly command?: readonly string[] | undefined
  readonly env: Readonly<Record<string, string>>
  readonly port: number
  /** No port was given: an image that exposes exactly one is asked on that. */
  readonly portFrom?: 'image' | undefined
  readonly volume?: { readonly id: VolumeId; readonly size: Size; readonly path: string } | undefined
  readonly limits: {
    readonly memory: Size
    readonly cpus: number
    readonly pids: number
    /** Outside of its volume. */
    readonly disk?: Size | undefined
    /** Of /dev/shm, within the memory; left out: `TASK_DEFAULTS.shm`, which is Docker's own. */
    readonly shm?: Size | undefined
    /** Memory that must be there for it to be woken; left out: as much as its limit. */
    readonly reserve?: Size | undefined
  }
  /** What it may reach beside the internet and its own hostnames; left out: nothing. */
  readonly egress?: readonly Egress[] | undefined
  readonly ready: Readiness
  /** How long a start may take before it counts as failed. */
  readonly startWithin: Duration
  readonly sleep: {
    /** How long after its last request, stream or WebSocket the app is put to sleep; `never` keeps it awake. */
    readonly idleAfter: Duration | 'never'
    /** How long requests in flight may go on when it is to stop though it is used; left out: as its node is set. */
    readonly drain?: Duration | undefined
    /** From SIGTERM to SIGKILL. */
    readonly grace: Duration
    /**
     * `hold`: an open WebSocket keeps the app awake. `ignore`: it does not, and one alone does not wake the app either, or its client would
     * wake it again after each sleep. `wake`: it does not keep the app awake, and wakes it.
     */
    readonly webSockets: WebSocketPolicy
    /** How often requests may wake the app in a minute; left out: `TASK_DEFAULTS.wakes`. */
    readonly wakes?: number | undefined
  }
  readonly createdAt: string
}

export const TASK_DEFAULTS = {
  port: 8000,
  volumePath: '/data',
  memory: '512MiB',
  cpus: 1,
  pids: 512,
  disk: '1GiB',
  shm: '64MiB',
  startWithin: '60s',
  idleAfter: '5m',
  grace: '10s',
  wakes: 60,
} as const

/** ext4 with its journal does not fit into less. */
export const LEAST_VOLUME_BYTES = 16 * 2 ** 20
