import type { Problem } from '../lib/errors.ts'
import type { ClientTls } from '../lib/tls/credentials.ts'
import type { InstanceId } from './instance-id.ts'
import type { AppName, NodeName } from './names.ts'
import type { RolloutView } from './rollout.ts'

export const PHASES = ['asleep', 'waking', 'awake', 'frozen', 'suspended', 'stopping', 'crashed', 'stuck'] as const
/** The phase of an instance. `frozen`: it runs, and its processes are stopped where they are. `suspended`: besides, its memory is in the swap of its machine. */
export type Phase = (typeof PHASES)[number]

/** The tiers that an instance is put to by hand. */
export const SLEEP_TIERS = ['asleep', 'frozen', 'suspended', 'parked'] as const
export type SleepTier = (typeof SLEEP_TIERS)[number]

/** The lowest tiers that an instance may be said to go to for want of use. */
export const KEEP_TIERS = ['asleep', 'frozen', 'suspended'] as const
export type KeepTier = (typeof KEEP_TIERS)[number]

/** The phase in words: one that is parked is asleep for all else. */
export const sayPhase = ({ phase, parked }: Pick<InstanceView, 'phase' | 'parked'>): string =>
  parked === true ? `${phase}, parked` : phase

/** Whether an instance in this phase has a container that serves, be it frozen. */
export const isRunning = (phase: Phase): boolean => phase === 'awake' || isFrozen(phase)

/** Whether the processes of an instance in this phase are stopped where they are. */
export const isFrozen = (phase: Phase): phase is 'frozen' | 'suspended' => phase === 'frozen' || phase === 'suspended'

export const WAKE_STEPS = [
  'lease',
  'attach',
  'fsck',
  'mount',
  'image',
  'create',
  'companions',
  'turn',
  'start',
  'ready',
] as const
export type WakeStep = (typeof WAKE_STEPS)[number]
/** The tiers that an instance is woken from. */
export const WAKE_TIERS = ['asleep', 'frozen', 'suspended', 'parked'] as const
export type WakeTier = (typeof WAKE_TIERS)[number]

export const WAKE_CAUSES = [
  'request',
  'websocket',
  'session',
  'connection',
  'companion',
  'schedule',
  'scale',
  'person',
  'deploy',
  'update',
] as const
/**
 * What woke an instance. `session`: somebody opened a shell or ran a command. `connection`: to one of its TCP ports. `companion`: an app that
 * uses it. `scale`: a front wants one instance more. `deploy`: whoever deployed it waits for it. `update`: the newer release replaces the one that ran.
 */
export type WakeCause = (typeof WAKE_CAUSES)[number]
export const SLEEP_STEPS = ['stop', 'unmount', 'detach'] as const
export type SleepStep = (typeof SLEEP_STEPS)[number]

export const STOP_REASONS = [
  'idle',
  'room',
  'memory',
  'asked',
  'updated',
  'removed',
  'shutdown',
  'died',
  'lease-lost',
  'drained',
  'drain-deadline',
  'self',
  'restored',
  'budget',
  'companion',
  'paused',
] as const
/** `room`: another app needed its memory or its volume slot. `memory`: its machine was short of memory. `self`: the app itself asked for it. `drained`: its node drains, and nobody used it. `drain-deadline`: it was still in use when the time for that was over. `budget`: its budget, or that of its owner, is spent. `companion`: an app that it uses is on this node no more. `paused`: somebody has paused it. */
export type StopReason = (typeof STOP_REASONS)[number]

export const HOLD_KINDS = ['request', 'websocket', 'busy', 'session', 'connection', 'companion'] as const
/**
 * What keeps an app awake. `busy`: a lease that the app took itself. `session`: a command, a shell or a connection that somebody opened in its
 * container. `connection`: somebody is connected to one of its TCP ports by a front. `companion`: an app that uses it is awake.
 */
export type HoldKind = (typeof HOLD_KINDS)[number]

export type HoldView = {
  readonly kind: HoldKind
  readonly what: string
  readonly since: string
  /** When it ends by itself. */
  readonly until?: string | undefined
  /** true: this hold does not keep the app awake (a WebSocket with the policy `ignore` or `wake`). */
  readonly isIgnored?: boolean | undefined
}

/** A hold that stands for all requests of one app that one worker thread counts. */
export type Grant = {
  /** The app is about to stop: the worker starts no new request under this grant, and releases it when its last request has ended. */
  revoke(): void
  /** The app stops now: the worker closes its WebSockets with a reason. */
  goAway(): void
  /** When the last request that postpones the sleep ended, in ms since the epoch; undefined if there was none. */
  readonly lastUsedAt: number | undefined
  readonly holds: readonly HoldView[]
}

/** Asks a node to keep an instance awake for one HTTP request or WebSocket. */
export type HoldRequest = {
  readonly kind: HoldKind
  /** For `shadow why`: `GET / from 203.0.113.7`. */
  readonly what: string
  /** Left out: the kind says it. */
  readonly cause?: WakeCause | undefined
  /** The memory that the request takes while it waits: its head, and the part of its body that is buffered. */
  readonly bytes: number
  /** When it ends by itself; ISO 8601. */
  readonly until?: string | undefined
  /** false: the call fails with `app-asleep` instead of waking the app. */
  readonly mayWake: boolean
  /** Why it may not wake the app, for `shadow why`; left out: the request says so itself. */
  readonly ignoredBy?: string | undefined
  /** Set for a browser that can be shown the waiting page: the call fails with `app-waking` if the app is not ready after this time. */
  readonly patienceMs?: number | undefined
  readonly grant?: Grant | undefined
  /** Called when the app stops: closes a WebSocket or a session with a reason. */
  readonly goAway?: (() => void) | undefined
  /** The release that the request is for; left out: the newest one. */
  readonly release?: WantedRelease | undefined
  /** The permit of the app's route, for a node that does not know the app yet. */
  readonly permit?: string | undefined
  /** The span of the front, in the form of a traceparent, if the request is traced. */
  readonly trace?: string | undefined
  /** Another port of the instance than its main one, for which the request is. */
  readonly port?: number | undefined
}

/** `isStrict`: no other release may serve the request. Otherwise the newest one serves it, where this one has ended. */
export type WantedRelease = { readonly revision: number; readonly isStrict: boolean }

/** A hold on an awake app, with the address to forward to. Disposing of it releases the hold. */
export type Held = Disposable & {
  /** `ip:port` to forward to. */
  readonly address: string
  /** Set if the address is another port of the app than its main one. */
  readonly port?: number | undefined
  /** The revision that runs there. */
  readonly release?: number | undefined
  /** Headers to add to the forwarded request, for the next hop. */
  readonly headers: Readonly<Record<string, string>>
  /** true: the address is a node's listener, and that node holds the app itself. */
  readonly isHop?: boolean
  /** How the connection to the address is secured; left out: it is not. */
  readonly tls?: ClientTls | undefined
  /** Identifies the run of the app behind the address. No other run ever has the same value. */
  readonly run?: string | undefined
  /**
   * The caller calls it when the address refused the connection. It resolves when a new hold makes sense: the app has ended and would be
   * woken, or accepts connections again. It rejects if the app runs and accepts none.
   */
  readonly refused?: (() => Promise<void>) | undefined
  /** The caller calls it when the connection was lost during the request. It rejects with the reason if the app has ended. */
  readonly alive?: (() => Promise<void>) | undefined
  /** The caller calls it when it refused an answer of the app, with the fault; `shadow why` and the log show it. */
  readonly badAnswer?: ((fault: string) => void) | undefined
  /** Until when an answer of the app counts, by the clock: one number, in memory that threads share. Left out: it counts. */
  readonly answersUntil?: Float64Array | undefined
  /** Where the requests that the app is given are counted, in memory that threads share: see `request-counts.ts`. Left out: nobody counts them here. */
  readonly requests?: Int32Array | undefined
  /** Set if the request waited for a wake here: the time of each step, in milliseconds. */
  readonly waited?: Readonly<Record<string, number>> | undefined
}

/** Requests that did not wake an instance, because of a rule or by what they said themselves. */
export type NotWoken = {
  readonly by: string
  readonly count: number
  /** When the last of them came. */
  readonly at: string
  readonly what: string
}

/** Sleeps that a dry run left out: how many, the last one, and how long the app would have slept in all. */
export type DrySleeps = {
  readonly count: number
  readonly at: string
  readonly why: StopReason
  readonly asleepMs: number
}

/** How full a volume is. `onDiskBytes` is the space that it takes on its machine's disk. */
export type VolumeUse = { readonly usedBytes: number; readonly sizeBytes: number; readonly onDiskBytes: number }

/** A run of an app that has ended, or takes no more requests. */
export type EndedRun = {
  readonly run: string
  /** The container that ends with it; left out: it is frozen, and goes on as another run. */
  readonly container?: string | undefined
  /** `ip:port` that it had. */
  readonly address: string
  /** Why it ended by itself, so that its requests in flight get no answer; null if it was stopped in order. */
  readonly problem: Problem | null
}

/** A host that was refused to an app; `to`: with its port, if it was a connection. `why`: a half sentence about it. `at`: the last time. */
export type RefusedName = { readonly to: string; readonly why: string; readonly at: string; readonly count: number }

/** An instance as its node reports it: enough for `ps`, `status` and `why`. Times are ISO 8601. */
export type InstanceView = {
  readonly app: AppName
  readonly instance: InstanceId
  readonly node: NodeName
  readonly phase: Phase
  readonly since: string
  readonly revision: number
  /** How many requests wait for the wake. */
  readonly waiting: number
  readonly holds: readonly HoldView[]
  /** When it goes to sleep if no request comes; null if it is in use or never sleeps. */
  readonly sleepsAt: string | null
  /** When it is frozen before that if no request comes; left out: it is not. */
  readonly freezesAt?: string | undefined
  /** Why it is frozen or suspended; left out: it is not, or an earlier run of its node did it. */
  readonly frozenBy?: StopReason | undefined
  /** Whether a container waits for its next wake while it is asleep; left out: none does. */
  readonly parked?: true | undefined
  readonly wokenBy: string | null
  /** Why it is not awake: `idle`, `asked`, … */
  readonly stoppedBy: StopReason | null
  readonly lastWake: { readonly ms: number; readonly steps: Readonly<Partial<Record<WakeStep, number>>> } | null
  /** The last answer of the app that was refused, and how many were refused since the node started; null if none was. */
  readonly badAnswer: { readonly at: string; readonly fault: string; readonly count: number } | null
  /** When the kernel last killed a process of the app for want of memory while the app went on, and how often since the node started; null: never. */
  readonly memoryKill: { readonly at: string; readonly count: number } | null
  /** When connections of the app to other apps or private networks were last refused, and how many since its container started, of the last twenty or so. */
  readonly refusedConnections?: { readonly at: string; readonly count: number } | undefined
  /** Hosts that were refused to the app because of their names, latest last. */
  readonly refusedNames?: readonly RefusedName[] | undefined
  /** For a stuck instance: the resources that are not released. */
  readonly held: readonly string[]
  readonly problem: Problem | null
  /** Why it is awake though nobody uses it: its idle check or its use of processors says so. */
  readonly atWork?: { readonly why: string; readonly checkedAt: string } | undefined
  /** The sleeps that a dry run left out, since the node started. */
  readonly drySleeps?: DrySleeps | undefined
  /** Requests that did not wake it, by why they did not, since the node started. */
  readonly notWoken?: readonly NotWoken[] | undefined
  /** When the last wake was refused because there were too many, and how many were refused since the node started; null if none was. */
  readonly refusedWakes: { readonly at: string; readonly count: number } | null
  /** A newer revision that did not get ready: `revision` runs in its place. */
  readonly rejected?: { readonly revision: number; readonly problem: Problem } | null | undefined
  /** How many starts failed in a row. `retryAt`: when a request may try again. */
  readonly failures: number
  readonly retryAt: string | null
  readonly container: { readonly id: string; readonly address: string } | null
  /** How full its volume was at the last check. */
  readonly volume?: VolumeUse | undefined
  /** What it has written outside of its volume, at the last check. */
  readonly diskBytes?: number | undefined
  /** How long requests in flight may go on when it is stopped by hand (`stopMs`), and when its definition changes (`updateMs`). */
  readonly drain?: { readonly stopMs: number; readonly updateMs: number } | undefined
  /** How many requests and WebSockets its last stop cut off. */
  readonly cut?: number | undefined
  /** How far its newest revision came, stage by stage. */
  readonly rollout?: RolloutView | undefined
  /** The apps that it uses, while it is awake. */
  readonly companions?: readonly CompanionView[] | undefined
  /** The last connection to a port on which the app does not listen, and how many there were since the node started. */
  readonly badConnection?: { readonly at: string; readonly fault: string; readonly count: number } | undefined
  /** Earlier releases that still run beside the newest one. */
  readonly formers?: readonly FormerView[] | undefined
  /** Set while a front keeps it awake: until when, if the front does not ask again, and why. */
  readonly kept?: { readonly until: string; readonly why: string } | undefined
}

/** An app that an instance uses. `isHeld`: it is awake, and stays so; `problem`: why it is not. */
export type CompanionView = { readonly app: AppName; readonly isHeld: boolean; readonly problem?: string | undefined }

/** An earlier release that still runs: it drains (`until`), or serves its sessions on (`endsAt`: if nobody uses it). */
export type FormerView = {
  readonly revision: number
  readonly since: string
  readonly container: { readonly id: string; readonly address: string }
  readonly holds: number
  readonly until?: string | undefined
  readonly endsAt?: string | undefined
}

/** The load of an awake instance, as its node tells it to fronts. */
export type InstanceLoad = {
  readonly instance: InstanceId
  /** Requests of all fronts that came to the node for it and are not answered. */
  readonly inFlight: number
  /** The revisions of earlier releases that keep their sessions there; left out: none does. */
  readonly formers?: readonly number[] | undefined
  /** The share of the processors it may use that it has used lately, from 0 to 1; left out where that is not known. */
  readonly cpu?: number | undefined
}

/** One line of an app's log. `stream: "shadow"` is a line of Shadow's about the app; the others are the app's output. */
export type LogLine = {
  readonly at: string
  readonly stream: 'stdout' | 'stderr' | 'shadow'
  readonly line: string
  /** The revision whose container wrote it: an app may have two for a while. */
  readonly release?: number | undefined
  /** The instance that wrote it, of an app that may have several. */
  readonly instance?: InstanceId | undefined
}
