import type { Problem } from '../lib/errors.ts'
import type { ClientTls } from '../lib/tls/credentials.ts'
import type { InstanceId } from './instance-id.ts'
import type { AppName, NodeName } from './names.ts'

export const PHASES = ['asleep', 'waking', 'awake', 'stopping', 'crashed', 'stuck'] as const
/** The phase of an instance. Tiers between awake and asleep will be added here. */
export type Phase = (typeof PHASES)[number]

export const WAKE_STEPS = ['lease', 'attach', 'fsck', 'mount', 'image', 'create', 'start', 'ready'] as const
export type WakeStep = (typeof WAKE_STEPS)[number]
export const SLEEP_STEPS = ['stop', 'unmount', 'detach'] as const
export type SleepStep = (typeof SLEEP_STEPS)[number]

export const STOP_REASONS = [
  'idle',
  'room',
  'asked',
  'updated',
  'removed',
  'shutdown',
  'died',
  'lease-lost',
  'drained',
  'drain-deadline',
] as const
/** `drained`: its node drains, and nobody used it. `drain-deadline`: it was still in use when the time for that was over. */
export type StopReason = (typeof STOP_REASONS)[number]

/** What keeps an app awake. */
export type HoldKind = 'request' | 'websocket'

export type HoldView = {
  readonly kind: HoldKind
  readonly what: string
  readonly since: string
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
  /** The memory that the request takes while it waits: its head, and the part of its body that is buffered. */
  readonly bytes: number
  /** false: the call fails with `app-asleep` instead of waking the app. */
  readonly mayWake: boolean
  /** Set for a browser that can be shown the waiting page: the call fails with `app-waking` if the app is not ready after this time. */
  readonly patienceMs?: number | undefined
  readonly grant?: Grant | undefined
  /** Called when the app stops: closes a WebSocket with a reason. */
  readonly goAway?: (() => void) | undefined
  /** The permit of the app's route, for a node that does not know the app yet. */
  readonly permit?: string | undefined
}

/** A hold on an awake app, with the address to forward to. Disposing of it releases the hold. */
export type Held = Disposable & {
  /** `ip:port` to forward to. */
  readonly address: string
  /** Headers to add to the forwarded request, for the next hop. */
  readonly headers: Readonly<Record<string, string>>
  /** true: the address is a node's listener, and that node holds the app itself. */
  readonly isHop?: boolean
  /** How the connection to the address is secured; left out: it is not. */
  readonly tls?: ClientTls | undefined
  /** Identifies the run of the app behind the address. No other run ever has the same value. */
  readonly run?: string
  /**
   * The caller calls it when the address refused the connection. It resolves when a new hold makes sense: the app has ended and would be
   * woken, or accepts connections again. It rejects if the app runs and accepts none.
   */
  readonly refused?: () => Promise<void>
  /** The caller calls it when the connection was lost during the request. It rejects with the reason if the app has ended. */
  readonly alive?: () => Promise<void>
  /** The caller calls it when it refused an answer of the app, with the fault; `shadow why` and the log show it. */
  readonly badAnswer?: (fault: string) => void
  /** Set if the request waited for a wake here: the time of each step, in milliseconds. */
  readonly waited?: Readonly<Record<string, number>> | undefined
}

/** How full a volume is. `onDiskBytes` is the space that it takes on its machine's disk. */
export type VolumeUse = { readonly usedBytes: number; readonly sizeBytes: number; readonly onDiskBytes: number }

/** A run of an app that has ended, or takes no more requests. */
export type EndedRun = {
  readonly run: string
  /** `ip:port` that it had. */
  readonly address: string
  /** Why it ended by itself, so that its requests in flight get no answer; null if it was stopped in order. */
  readonly problem: Problem | null
}

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
  /** For a stuck instance: the resources that are not released. */
  readonly held: readonly string[]
  readonly problem: Problem | null
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
}

/** One line of an app's log. `stream: "shadow"` is a line of Shadow's about the app; the others are the app's output. */
export type LogLine = { readonly at: string; readonly stream: 'stdout' | 'stderr' | 'shadow'; readonly line: string }
