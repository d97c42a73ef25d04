import type { Problem } from '../lib/errors.ts'
import type { AppName, NodeName } from './names.ts'

export const PHASES = ['asleep', 'waking', 'awake', 'stopping', 'crashed', 'stuck'] as const
/** Where an instance is in its life; the tiers between awake and asleep join this list as they come. */
export type Phase = (typeof PHASES)[number]

export const WAKE_STEPS = ['lease', 'attach', 'fsck', 'mount', 'image', 'create', 'start', 'ready'] as const
export type WakeStep = (typeof WAKE_STEPS)[number]
export const SLEEP_STEPS = ['stop', 'unmount', 'detach'] as const
export type SleepStep = (typeof SLEEP_STEPS)[number]

export type StopReason = 'idle' | 'room' | 'asked' | 'updated' | 'removed' | 'shutdown' | 'died'

/** What keeps an app awake. */
export type HoldKind = 'request' | 'websocket'

export type HoldView = {
  readonly kind: HoldKind
  readonly what: string
  readonly since: string
  /** true: it does not keep the app awake. */
  readonly isIgnored?: boolean | undefined
}

/** A hold that stands for requests which a worker of this process counts. */
export type Grant = {
  /** The app is to stop: nothing new is begun under it, and it is let go of when the last that runs has ended. */
  revoke(): void
  /** The app stops now: WebSockets are told. */
  goAway(): void
  /** When use that puts the sleep off last ended; ms since the epoch, undefined where there was none. */
  readonly lastUsedAt: number | undefined
  readonly holds: readonly HoldView[]
}

/** What a request asks of a node before it is forwarded. */
export type Ask = {
  readonly kind: HoldKind
  /** For `shadow why`: `GET / from 203.0.113.7`. */
  readonly what: string
  /** What waiting costs in memory: its head, and what is buffered of its body. */
  readonly bytes: number
  /** false: fails with `app-asleep` rather than wake. */
  readonly mayWake: boolean
  /** Set for a browser that can be shown the waiting page: fails with `app-waking` when the app is not ready by then. */
  readonly patienceMs?: number | undefined
  readonly grant?: Grant | undefined
  /** Called when the app stops: ends a WebSocket, so that its client is told. */
  readonly goAway?: (() => void) | undefined
  /** The permit of the app's route, for a node that does not know the app yet. */
  readonly permit?: string | undefined
}

/** A way to the app, kept open until disposed of. */
export type Held = Disposable & {
  /** `ip:port` to forward to. */
  readonly address: string
  /** Put on the forwarded request, for the next hop. */
  readonly headers: Readonly<Record<string, string>>
  /** The address is a node's door, which holds the app itself. */
  readonly isHop?: boolean
  /** Names the run of the app that is behind the address; no other run ever has it. */
  readonly run?: string
  /**
   * To be called when the address refused the connection. Resolves when another hold makes sense: the app has ended, and would be woken,
   * or takes connections again. Rejects where it runs and takes none.
   */
  readonly refused?: () => Promise<void>
  /** To be called when the connection was lost with the request in hand: rejects with what ended the app, where it does not run on. */
  readonly alive?: () => Promise<void>
  /** To be called when an answer of the app was refused, with what is wrong with it: for `shadow why` and the log. */
  readonly badAnswer?: (fault: string) => void
  /** Stages in milliseconds if the request waited for a wake here. */
  readonly waited?: Readonly<Record<string, number>> | undefined
}

/** How full a volume is; `onDiskBytes` is what it takes of its machine's disk. */
export type VolumeUse = { readonly usedBytes: number; readonly sizeBytes: number; readonly onDiskBytes: number }

/** A run of an app that takes no more requests. */
export type EndedRun = {
  readonly run: string
  /** `ip:port` where it was. */
  readonly address: string
  /** What ended it by itself, so that nothing comes of what it had in hand; null: it was stopped in order. */
  readonly problem: Problem | null
}

/** An instance as the node tells of it: enough for `ps`, `status` and `why`. Times are ISO 8601. */
export type InstanceView = {
  readonly app: AppName
  readonly node: NodeName
  readonly phase: Phase
  readonly since: string
  readonly revision: number
  /** Requests that wait for the wake. */
  readonly waiting: number
  readonly holds: readonly HoldView[]
  /** When it goes to sleep if nothing comes. */
  readonly sleepsAt: string | null
  readonly wokenBy: string | null
  /** Why it is not awake: `idle`, `asked`, … */
  readonly stoppedBy: StopReason | null
  readonly lastWake: { readonly ms: number; readonly steps: Readonly<Partial<Record<WakeStep, number>>> } | null
  /** The last answer of the app that was refused, and how many there were since the node started; null: none. */
  readonly badAnswer: { readonly at: string; readonly fault: string; readonly count: number } | null
  /** The last time that a process of the app was ended for want of memory while the app went on, and how often since the node started; null: never. */
  readonly memoryKill: { readonly at: string; readonly count: number } | null
  /** What is still held, for a stuck instance. */
  readonly held: readonly string[]
  readonly problem: Problem | null
  /** Wakes that were refused since the node started, as there were too many: when the last one was, and how many. */
  readonly refusedWakes: { readonly at: string; readonly count: number } | null
  /** A newer revision that could not be made ready: `revision` runs in its place. */
  readonly rejected?: { readonly revision: number; readonly problem: Problem } | null | undefined
  /** For a crashed one: how often in a row, and when a request may try again. */
  readonly failures: number
  readonly retryAt: string | null
  readonly container: { readonly id: string; readonly address: string } | null
  /** How full its volume is, as last looked at. */
  readonly volume?: VolumeUse | undefined
  /** What it has written outside of its volume, as last measured. */
  readonly diskBytes?: number | undefined
  /** How long requests in flight may go on when it is stopped by hand, and when its definition changes. */
  readonly drain?: { readonly stopMs: number; readonly updateMs: number } | undefined
  /** How many uses its last stop has cut. */
  readonly cut?: number | undefined
}

/** One line of an app's log: what it wrote, or (`stream: "shadow"`) what happened to it. */
export type LogLine = { readonly at: string; readonly stream: 'stdout' | 'stderr' | 'shadow'; readonly line: string }
