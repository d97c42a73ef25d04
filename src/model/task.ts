import type { Deploy } from './deploy.ts'
import type { Egress } from './egress.ts'
import type { IdleCheck } from './idle-check.ts'
import type { KeepTier } from './instance.ts'
import type { AppName, VolumeId } from './names.ts'
import type { Duration, Size } from './quantities.ts'
import type { Made } from './release.ts'
import type { TaskSource } from './source.ts'
import type { WireCredential } from './wire.ts'

/** How the node knows that the app is ready for its first request. */
export type Readiness =
  | { readonly kind: 'port' }
  | { readonly kind: 'http'; readonly path: string }
  | { readonly kind: 'log'; readonly line: string }
  /** When the HEALTHCHECK of its image passes. */
  | { readonly kind: 'healthcheck' }
  /** As soon as its process runs: of a container that serves nothing, such as a sandbox. */
  | { readonly kind: 'started' }

/** Where the bytes of a volume are: `loop`: on the disk of one node; `pool`: on storage that all nodes of the pool see; `ebs`: a disk of AWS; `digitalocean`: a disk of DigitalOcean. */
export const VOLUME_DRIVERS = ['loop', 'pool', 'ebs', 'digitalocean'] as const
/** How a node gets a driver. */
export const HAS_DRIVER: Readonly<Record<VolumeDriver, string>> = {
  loop: 'every node has the driver loop',
  pool: 'set SHADOW_POOL on a node, to a folder on storage that all nodes of the pool see',
  ebs: 'run a node on EC2 in the zone of the volume, with SHADOW_EBS',
  digitalocean: 'run a node on a droplet in the region of the volume, with SHADOW_DIGITALOCEAN',
}
/** Where each driver has the bytes of a volume, in words. */
export const VOLUME_DRIVERS_SAID =
  'loop: on the disk of one node; pool: on storage that all nodes with SHADOW_POOL see; ebs: on a disk of AWS EBS, which nodes with SHADOW_EBS attach; digitalocean: on a disk of DigitalOcean, which nodes with SHADOW_DIGITALOCEAN attach'
export type VolumeDriver = (typeof VOLUME_DRIVERS)[number]

/** The volume of a task definition. */
export type TaskVolume = {
  readonly id: VolumeId
  readonly size: Size
  readonly path: string
  /** Left out: `TASK_DEFAULTS.volumeDriver`. */
  readonly driver?: VolumeDriver | undefined
}

/** The driver of a volume, as its definition or its record says. */
export const driverOf = (volume: { readonly driver?: VolumeDriver | undefined }): VolumeDriver =>
  volume.driver ?? TASK_DEFAULTS.volumeDriver

export const WEB_SOCKET_POLICIES = ['hold', 'ignore', 'wake'] as const
export type WebSocketPolicy = (typeof WEB_SOCKET_POLICIES)[number]

/** Which image a revision runs, whatever its tag names later. */
export type PinnedImage = {
  /** Docker's id of the image: `sha256:<hex>`. */
  readonly id: string
  /** The digest of its manifest in its registry, by which another machine pulls it; undefined for an image that was built locally. */
  readonly digest?: string | undefined
  /** Lets a node read the image from the masters' store. It is only in what a master sends to a node. */
  readonly permit?: string | undefined
}

/** One immutable revision of how to run an app. A change makes the next revision; a revision itself never changes. */
export type TaskDefinition = {
  readonly app: AppName
  readonly revision: number
  readonly image: string
  /** Undefined until a node has looked at the image or run it. */
  readonly pinned?: PinnedImage | undefined
  /** Replaces the image's command; its entrypoint stays. */
  readonly command?: readonly string[] | undefined
  readonly env: Readonly<Record<string, string>>
  readonly port: number
  /** Set if no port was given: if the image exposes exactly one port, that one is used. */
  readonly portFrom?: 'image' | undefined
  readonly volume?: TaskVolume | undefined
  readonly source?: TaskSource | undefined
  readonly limits: {
    readonly memory: Size
    readonly cpus: number
    readonly pids: number
    /** What the app may write outside of its volume. */
    readonly disk?: Size | undefined
    /** Size of /dev/shm, which counts as memory; left out: `TASK_DEFAULTS.shm`, which is Docker's default. */
    readonly shm?: Size | undefined
    /** Memory that must be free for the app to be woken; left out: as much as `memory`. */
    readonly reserve?: Size | undefined
  }
  /** What the app may reach besides the internet and its own hostnames; left out: nothing. */
  readonly egress?: readonly Egress[] | undefined
  /** Secrets that its node adds to its requests; left out: none. */
  readonly wire?: readonly WireCredential[] | undefined
  /** The apps that are awake before it and as long as it is, and that it reaches by their names; left out: none. */
  readonly uses?: readonly AppName[] | undefined
  readonly ready: Readiness
  /** How long a start may take before it counts as failed. */
  readonly startWithin: Duration
  readonly sleep: {
    /** How long after its last request, stream or WebSocket the app is put to sleep; `never` keeps it awake. */
    readonly idleAfter: Duration | 'never'
    /**
     * How long after its last use the app is frozen, if that is sooner than `idleAfter`: its processes stop where they are, and a request lets
     * them go on. `never`, or left out where its node says nothing else: it is not.
     */
    readonly freezeAfter?: Duration | 'never' | undefined
    /** How long after its last use the memory of a frozen app goes to the swap of its machine, if it has any; as `freezeAfter` else. */
    readonly suspendAfter?: Duration | 'never' | undefined
    /**
     * The lowest tier that the app goes to for want of use; `asleep`, or left out where its node says nothing else: it sleeps at `idleAfter`.
     * `frozen`, `suspended`: it is that from then on, until its memory or its volume slot is needed.
     */
    readonly keep?: KeepTier | undefined
    /** How long a disk of a cloud stays attached after the app fell asleep since nobody used it; left out: the setting of its node. */
    readonly detachAfter?: Duration | undefined
    /** How long requests in flight may go on when the app is stopped while it is in use; left out: the setting of its node. */
    readonly drain?: Duration | undefined
    /** Time from SIGTERM to SIGKILL. */
    readonly grace: Duration
    /**
     * `hold`: an open WebSocket keeps the app awake. `ignore`: it neither keeps the app awake nor wakes it; if it woke the app, a client
     * that reconnects by itself would wake it after each sleep. `wake`: it wakes the app, and does not keep it awake.
     */
    readonly webSockets: WebSocketPolicy
    /** How many times a minute requests may wake the app; left out: `TASK_DEFAULTS.wakes`. */
    readonly wakes?: number | undefined
    /** Asked before the app is put to sleep because nobody uses it; left out: it is not asked. */
    readonly idleCheck?: IdleCheck | undefined
    /** In percent of the processors that it may use: above that it counts as at work. Left out: processors do not count. */
    readonly cpu?: number | undefined
    /** It is not put to sleep for want of use, and it is recorded when it would have been; left out: the setting of its node. */
    readonly dryRun?: boolean | undefined
  }
  /** The version of the app's secrets; left out: it has none. The values are in a document of their own. */
  readonly secretsVersion?: number | undefined
  /** What made it; left out by earlier versions of Shadow. */
  readonly made?: Made | undefined
  /** Left out: open sessions go to the newer release. */
  readonly deploy?: Deploy | undefined
  readonly createdAt: string
}

export const TASK_DEFAULTS = {
  port: 8000,
  volumePath: '/data',
  volumeDriver: 'loop',
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

/** The smallest volume: ext4 with its journal does not fit into less. */
export const LEAST_VOLUME_BYTES = 16 * 2 ** 20
